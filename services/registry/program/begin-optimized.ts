import { JsonError, jsonFromPlain } from '@signet/signature/json.ts';
import { printSpec } from '@signet/signature/print.ts';
import type { Field } from '@signet/signature/types.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { readSpec, type Signature, specColumns } from '../signature/signature.ts';
import type { Configuration } from './program.ts';

/** What a program's first version is made of. */
export type FirstVersion = {
  readonly signature: Signature;
  readonly configuration: Configuration;
  readonly demos: readonly string[];
};

/**
 * Begins a program with what an optimizer found for its signature: instructions and demos where the caller gave none, descriptions of
 * fields in the program's own snapshot of the signature.
 */
export function beginOptimized(given: FirstVersion): FirstVersion {
  const { optimization } = given.signature.metadata;
  if (typeof optimization !== 'object' || optimization === null) return given;
  const { instructions, field_descriptions: descriptions, demos } = optimization as Record<string, unknown>;
  const { configuration } = given;
  return {
    signature: isRecord(descriptions) ? described(given.signature, descriptions) : given.signature,
    configuration:
      configuration.instructions === '' && typeof instructions === 'string'
        ? { ...configuration, instructions }
        : configuration,
    demos: given.demos.length === 0 && Array.isArray(demos) ? textsOf(demos) : given.demos,
  };
}

function described(signature: Signature, descriptions: Record<string, unknown>): Signature {
  const parsed = readSpec(signature.spec, signature.mlTypes);
  const withText = (field: Field): Field => {
    const text = descriptions[field.name];
    return typeof text === 'string' && text !== '' ? { ...field, description: text } : field;
  };
  const spec = { inputs: parsed.inputs.map(withText), outputs: parsed.outputs.map(withText) };
  // Longer than a specification may be: what was there before serves as well.
  return Buffer.byteLength(printSpec(spec)) > 8192 ? signature : { ...signature, ...specColumns(spec) };
}

function textsOf(demos: readonly unknown[]): string[] {
  return demos.flatMap((demo) => {
    try {
      return [writeJson(jsonFromPlain(demo))];
    } catch (error) {
      if (error instanceof JsonError) return [];
      throw error;
    }
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
