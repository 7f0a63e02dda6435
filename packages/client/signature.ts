import { parseSpec } from '@signet/signature/parser.ts';
import type { InputsOf, OutputsOf } from './spec-types.ts';

/** A specification whose inputs and outputs TypeScript knows. */
export type TypedSignature<Spec extends string = string> = {
  readonly spec: Spec;
  /** Names of the inputs, in order. */
  readonly inputs: readonly NamesOf<InputsOf<Spec>>[];
  /** Names of the outputs, in order. */
  readonly outputs: readonly NamesOf<OutputsOf<Spec>>[];
};

type NamesOf<Fields> = keyof Fields & string;

/** Reads a specification such as `question: str -> answer: str`. Throws SignatureError, with line and column, for what is none. */
export function signature<const Spec extends string>(spec: Spec): TypedSignature<Spec> {
  const { inputs, outputs } = parseSpec(spec);
  return {
    spec,
    inputs: inputs.map(({ name }) => name) as NamesOf<InputsOf<Spec>>[],
    outputs: outputs.map(({ name }) => name) as NamesOf<OutputsOf<Spec>>[],
  };
}
