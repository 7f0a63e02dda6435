import type { JsonValue } from '@signet/signature/json.ts';
import { mergeAndRank } from './merge-and-rank.ts';

/** A function that a step may call; it is quick, and its result follows from its argument alone. */
export type PipelineFunction = (input: JsonValue) => JsonValue;

/** The functions of Signet itself, by name. */
export const builtInFunctions: ReadonlyMap<string, PipelineFunction> = new Map<string, PipelineFunction>([
  ['merge_and_rank', mergeAndRank],
  // Gives back what it is given: for what is always said, and for putting results together.
  ['value', (input) => input],
]);
