/** The program of the demo and of `npm start`'s first requests. */
export const PROGRAM = {
  name: 'qa',
  signatureSpec: 'question: str, context: list[str] -> answer: str, confidence: float',
  adapterType: 'python_port',
};

/** Two demonstrations and no chance: with them even a small model keeps to the question. */
export const CONFIGURATION = {
  lmOptions: { temperature: 0 },
  demos: [
    {
      question: 'Which city is the capital of Finland?',
      context: ['Helsinki is the capital of Finland.', 'Tampere lies between two lakes.'],
      answer: 'Helsinki',
      confidence: 0.9,
    },
    {
      question: 'Who painted the Mona Lisa?',
      context: ['The Mona Lisa hangs in the Louvre.', 'Leonardo da Vinci painted the Mona Lisa.'],
      answer: 'Leonardo da Vinci',
      confidence: 0.9,
    },
  ],
};

/** A question whose answer stands in its context. */
export const INPUTS = {
  question: 'Who wrote the first computer program?',
  context: ['Charles Babbage designed the Analytical Engine.', 'Ada Lovelace wrote the first computer program for it.'],
};

/** Another one, for the stream. */
export const STREAM_INPUTS = {
  question: 'Who discovered radium?',
  context: ['Marie Curie discovered radium.', 'Radium glows in the dark.'],
};
