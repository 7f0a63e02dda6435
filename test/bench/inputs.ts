/** The signature of every program in the bench. */
export const SPEC = 'question: str, context: list[str] -> answer: str, confidence: float';

/** The inputs of every call. */
export const INPUTS = {
  question: 'Who wrote the first computer program?',
  context: ['Charles Babbage designed the Analytical Engine.', 'Ada Lovelace wrote the first computer program for it.'],
} as const;
