/** What one can send to a method as it stands, by method name; the first minute over HTTP. */
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
};
