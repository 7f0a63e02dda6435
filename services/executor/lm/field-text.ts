import { ChatFieldText } from './chat-field-text.ts';
import { JsonFieldText } from './json-field-text.ts';
import type { LmText } from './language-model.ts';

/** Finds, in a completion that is still growing, the text of output fields that no later chunk can take back. */
export interface FieldText {
  /** Takes the next piece of the completion; any cut is allowed, also inside a surrogate pair. */
  push(piece: string): void;
  /** Says that the completion is whole: what was held back for doubt is shown now. */
  end(): void;
}

/** What the prompt asked for, as far as showing text needs it. */
export interface FieldTextShape {
  promptAdapter: string;
  outputFields: readonly { name: string; text: boolean }[];
}

/** Makes the finder for an adapter's form of reply; for an adapter it does not know, one that shows nothing. */
export function createFieldText(shape: FieldTextShape, show: (text: LmText) => void): FieldText {
  const names = new Set(shape.outputFields.filter((field) => field.text).map((field) => field.name));
  if (names.size > 0 && shape.promptAdapter === 'chat') return new ChatFieldText(names, show);
  if (names.size > 0 && shape.promptAdapter === 'json') return new JsonFieldText(names, show);
  return { push: () => {}, end: () => {} };
}
