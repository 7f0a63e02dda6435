import { defineSignature, type SignatureDefinition } from '@signet/signature/define-signature.ts';

/** A signature module that is known without any worker. */
export type KnownModule = SignatureDefinition & { readonly description: string };

const define = (module: string, spec: string, description: string): KnownModule => ({
  ...defineSignature(module, spec),
  description,
});

/** The signature modules that every registry knows. */
export const builtInSignatures: readonly KnownModule[] = [
  define('Signet.QuestionAnswer', 'question: str -> answer: str', 'Answer the question.'),
  define(
    'Signet.GroundedAnswer',
    'question: str, context: list[str] -> answer: str, confidence: float(ge=0, le=1)',
    'Answer the question from the context alone.',
  ),
  define('Signet.Summarize', 'text: str -> summary: str', 'Summarize the text in a few sentences.'),
  define(
    'Signet.Classify',
    "text: str, labels: list[str] 'the labels to choose from' -> label: str, confidence: float(ge=0, le=1)",
    'Choose the label that fits the text best.',
  ),
  define(
    'Signet.Extract',
    "text: str, wanted: list[str] 'what to look for' -> found: dict[str, Any]",
    'Extract what is wanted from the text.',
  ),
  define('Signet.Translate', 'text: str, language: str -> translation: str', 'Translate the text into the language.'),
];
