import { createHash } from 'node:crypto';
import { isArray, isObject, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { EngineProgram, LmEndpoint } from '../engine/engine.ts';

/** What decides an answer. */
export type CacheSubject = {
  readonly program: EngineProgram;
  readonly lm: LmEndpoint | undefined;
  readonly inputs: JsonObject;
  /** Whose answers they are; empty means the program's. */
  readonly keyId: string;
};

/**
 * The name of an answer: program version, its dialect, canonical inputs (keys in order, every digit kept: 1 and 1.0 are two things to
 * Python), what the language model is and how it is asked, and whose it is. The credential decides nothing.
 */
export function cacheKey({ program, lm, inputs, keyId }: CacheSubject): Buffer {
  const asked = lm && [
    lm.slug,
    lm.provider,
    lm.model,
    lm.apiBase,
    lm.constrained,
    lm.capabilities,
    writeJson(sorted(lm.parameters)),
  ];
  // Another DSPy may ask otherwise and read otherwise.
  const dialect = Object.entries(program.dialect ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = [
    program.programId,
    program.version,
    program.ref,
    dialect,
    asked ?? null,
    keyId,
    writeJson(sorted(inputs)),
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest();
}

function sorted(value: JsonValue): JsonValue {
  if (isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  return new Map([...value].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, sorted(member)]));
}
