import type { Field } from '@signet/signature/types.ts';

/** What modules of some kinds tell beside the outputs that their signature declares. */
const told: Readonly<Record<string, string>> = {
  chain_of_thought: 'reasoning',
  react: 'reasoning',
  multi_chain_comparison: 'rationale',
};

/** The fields of the results of a module of a kind: those of its signature, and before them what such modules tell besides. */
export function resultFields(kind: string, outputs: readonly Field[]): readonly Field[] {
  const name = told[kind];
  if (name === undefined || outputs.some((field) => field.name === name)) return outputs;
  return [{ name, type: { kind: 'str' }, constraints: [] }, ...outputs];
}
