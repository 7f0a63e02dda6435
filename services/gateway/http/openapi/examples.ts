/** What one can send to a method as it stands, by method name: one for each that takes a body, the first minute over HTTP first. */
export const requestExamples: Readonly<Record<string, unknown>> = {
  CreateProgram: {
    name: 'qa',
    signatureSpec: 'question: str, context: list[str] -> answer: str, confidence: float',
    adapterType: 'python_port',
  },
  InitializeProgram: {},
  ExecuteProgram: {
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
  CreateExecution: {
    program: 'qa',
    inputs: {
      question: 'Who wrote the first computer program?',
      context: ['Ada Lovelace wrote the first computer program.'],
    },
  },
  ParseSignature: { spec: 'question: str -> answer: str', name: 'qa' },
  QuickExecute: { signatureSpec: 'question -> answer', inputs: { question: 'Who wrote the first computer program?' } },
  CreateSignatureFromModule: { signatureModule: 'Signet.Summarize' },
  UpdateSignature: { description: 'Answers questions.', labels: { team: 'search' } },
  ActivateSignature: {},
  DeprecateSignature: {},
  UpdateProgram: { description: 'Answers from the given context.', labels: { team: 'search' } },
  ArchiveProgram: {},
  ResetProgram: {},
  CancelExecution: {},
  RetryExecution: { executionOptions: { timeoutMs: '30000' } },
  AddFeedback: { score: 1, label: 'good' },
  CreateApiKey: { name: 'ci', role: 'runner' },
  UpdateApiKey: { name: 'ci', labels: { team: 'search' } },
  RevokeApiKey: {},
};
