/** What one can send to a method as it stands, by method name: one for each that takes a body, the first minute over HTTP first. */
export const requestExamples: Readonly<Record<string, unknown>> = {
  CreateProgram: {
    name: 'qa',
    signatureSpec: 'question: str, context: list[str] -> answer: str, confidence: float',
    adapterType: 'python_port',
  },
  ComposeProgram: {
    name: 'rag',
    modules: ['qa_module'],
    pipelineSpec: { steps: [{ type: 'predict', module: 'qa_module' }] },
  },
  InitializeProgram: {},
  ExecuteProgram: {
    inputs: {
      question: 'Who wrote the first computer program?',
      context: ['Ada Lovelace wrote the first computer program.'],
    },
  },
  PromoteProgramVersion: {},
  RenderPrompt: {
    inputs: {
      question: 'Who wrote the first computer program?',
      context: ['Ada Lovelace wrote the first computer program.'],
    },
  },
  StreamProgram: {
    inputs: {
      question: 'Who wrote the first computer program?',
      context: ['Ada Lovelace wrote the first computer program.'],
    },
  },
  RunProgram: {
    inputs: {
      question: 'Who wrote the first computer program?',
      context: ['Ada Lovelace wrote the first computer program.'],
    },
  },
  OptimizeProgram: {
    optimizer: 'wide-search',
    dataset: 'qa-examples',
    metric: { kind: 'exact_match', field: 'answer' },
    budget: { lmCalls: '500' },
  },
  CancelOptimizationJob: {},
  CreateOptimizer: {
    name: 'Wide search',
    slug: 'wide-search',
    type: 'random_search',
    config: { num_candidate_programs: 8 },
  },
  UpdateOptimizer: { config: { num_candidate_programs: 16, max_bootstrapped_demos: 4 } },
  EvaluateProgram: {
    dataset: 'qa-examples',
    splits: ['test'],
    metric: { kind: 'exact_match', field: 'answer' },
  },
  CreateDataset: { name: 'Questions and answers', slug: 'qa-examples', program: 'qa' },
  UpdateDataset: { description: 'What people asked in spring.', labels: { team: 'search' } },
  ImportExamples: [
    '{"inputs":{"question":"Who wrote the first computer program?","context":[]},"outputs":{"answer":"Ada Lovelace"}}\n',
    '{"inputs":{"question":"Who designed the Analytical Engine?","context":[]},"outputs":{"answer":"Charles Babbage"}}\n',
    '{"inputs":{"question":"Who wrote the first compiler?","context":[]},"outputs":{"answer":"Grace Hopper"},"split":"test"}\n',
  ].join(''),
  ImportExecutions: { program: 'qa', minScore: 0.8, ratios: { train: 0.8, validation: 0.1, test: 0.1 } },
  CreateExecution: {
    program: 'qa',
    inputs: {
      question: 'Who wrote the first computer program?',
      context: ['Ada Lovelace wrote the first computer program.'],
    },
  },
  ParseSignature: { spec: 'question: str -> answer: str', name: 'qa' },
  QuickExecute: { signatureSpec: 'question -> answer', inputs: { question: 'Who wrote the first computer program?' } },
  OptimizeSignature: { optimizationResults: { instructions: 'Answer in one word.' } },
  RegisterModule: {
    name: 'qa_module',
    type: 'predict',
    pythonModule: 'dspy.ChainOfThought',
    signatureSpec: 'question: str, context: list[str] -> answer: str, confidence: float',
  },
  UpdateModule: { description: 'Answers from the given context.', cacheTtl: '60' },
  UpdateModuleMetrics: { metrics: { accuracy: 0.93 } },
  FireModuleEvent: { event: 'initialize' },
  ExecuteModule: {
    inputs: {
      question: 'Who wrote the first computer program?',
      context: ['Ada Lovelace wrote the first computer program.'],
    },
  },
  CreateSignatureFromModule: { signatureModule: 'Signet.Summarize' },
  UpdateSignature: { description: 'Answers questions.', labels: { team: 'search' } },
  ActivateSignature: {},
  DeprecateSignature: {},
  UpdateProgram: { description: 'Answers from the given context.', labels: { team: 'search' } },
  ImportProgramVersion: {
    state: {
      predict: {
        traces: [],
        train: [],
        demos: [{ question: 'Who wrote the first computer program?', answer: 'Ada Lovelace' }],
        signature: {
          instructions: 'Answer from the context.',
          fields: [
            // biome-ignore lint/suspicious/noTemplateCurlyInString: DSPy writes its placeholders so.
            { prefix: 'Question:', description: '${question}' },
            // biome-ignore lint/suspicious/noTemplateCurlyInString: DSPy writes its placeholders so.
            { prefix: 'Answer:', description: '${answer}' },
          ],
        },
        lm: null,
      },
      metadata: { dependency_versions: { python: '3.11', dspy: '3.4.1', cloudpickle: '3.1' } },
    },
  },
  ArchiveProgram: {},
  ResetProgram: {},
  CancelExecution: {},
  CancelEvaluation: {},
  RetryExecution: { executionOptions: { timeoutMs: '30000' } },
  AddFeedback: { score: 1, label: 'good' },
  CreateApiKey: { name: 'ci', role: 'runner' },
  UpdateApiKey: { name: 'ci', labels: { team: 'search' } },
  RevokeApiKey: {},
  RotateApiKey: { overlapSeconds: 3600 },
  CreateLanguageModel: {
    name: 'main',
    model: 'openai/gpt-4o-mini',
    parameters: { temperature: 0 },
    capabilities: { jsonSchema: true, jsonObject: true },
  },
  UpdateLanguageModel: { limits: { concurrencyMax: 32, requestsPerMinute: 600 } },
  CheckLanguageModel: { timeoutMs: '30000' },
  BatchExecuteProgram: {
    inputs: {
      question: 'Who wrote the first computer program?',
      context: ['Ada Lovelace wrote the first computer program.'],
    },
  },
  CreateBatch: { program: 'qa', dataset: 'qa-examples', splits: ['test'] },
  UploadBatch:
    '{"question":"Who wrote the first computer program?","context":["Ada Lovelace wrote the first computer program."]}\n',
  PauseBatch: {},
  ResumeBatch: {},
  CancelBatch: {},
};

/** What one can write for a parameter of a path or query, by its name in the contract. */
export const parameterExamples: Readonly<Record<string, unknown>> = {
  program: 'qa',
  dataset: 'qa-examples',
  optimizer: 'wide-search',
  page_size: 10,
};
