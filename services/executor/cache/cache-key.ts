import { hash } from 'node:crypto';
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
  const text = `[${programText(program)},${lm === undefined ? 'null' : lmText(lm)},${JSON.stringify([keyId, writeJson(sorted(inputs))])}]`;
  return hash('sha256', text, 'buffer');
}

// Both live as long as they are served: what they add to each key is written once.
const programTexts = new WeakMap<EngineProgram, string>();
const lmTexts = new WeakMap<LmEndpoint, string>();

function programText(program: EngineProgram): string {
  let text = programTexts.get(program);
  if (text === undefined) {
    // Another DSPy may ask otherwise and read otherwise.
    const dialect = Object.entries(program.dialect ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
    text = JSON.stringify([program.programId, program.version, program.ref, dialect]);
    programTexts.set(program, text);
  }
  return text;
}

function lmText(lm: LmEndpoint): string {
  let text = lmTexts.get(lm);
  if (text === undefined) {
    const { slug, provider, model, apiBase, constrained, capabilities, parameters } = lm;
    const asked = [slug, provider, model, apiBase, constrained, capabilities, writeJson(sorted(parameters))];
    text = JSON.stringify(asked);
    lmTexts.set(lm, text);
  }
  return text;
}

function sorted(value: JsonValue): JsonValue {
  if (isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  return new Map([...value].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, sorted(member)]));
}
