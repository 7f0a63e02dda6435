import { type JsonValue, jsonFromPlain, plainFromJson } from '@signet/signature/json.ts';
import { builtInFunctions, type PipelineFunction } from './functions.ts';

const named = /^[a-z][a-z0-9_]{0,62}$/;

/**
 * The functions that a file of the operator's exports: each export that is a function, by its own name in lower case with underscores. It
 * is given plain data and gives plain data back, at once. Throws where a name is wrong or Signet's own, or where there is none.
 */
export function functionsOf(exports: Readonly<Record<string, unknown>>): ReadonlyMap<string, PipelineFunction> {
  const found = new Map<string, PipelineFunction>();
  for (const [name, value] of Object.entries(exports)) {
    if (typeof value !== 'function') continue;
    if (!named.test(name)) throw new Error(`the function \`${name}\` must be named like \`rank_by_date\``);
    if (builtInFunctions.has(name)) throw new Error(`the function \`${name}\` is Signet's own`);
    found.set(name, (input) => called(name, value as (input: unknown) => unknown, input));
  }
  if (found.size === 0) throw new Error('the file exports no function');
  return found;
}

function called(name: string, call: (input: unknown) => unknown, input: JsonValue): JsonValue {
  const result = call(plainFromJson(input));
  if (result instanceof Promise) throw new Error(`\`${name}\` gives a promise; a function gives its result at once`);
  return jsonFromPlain(result ?? null);
}
