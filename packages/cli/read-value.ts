import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { type JsonObject, type JsonValue, parseJson } from '@signet/client/json.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/** A text as it was given, the content of the file that `@path` names, or standard input for `-`. A text that begins with `@` is written `@@`. */
export async function readText(terminal: Terminal, given: string): Promise<string> {
  if (given === '-') return readAll(terminal.stdin);
  if (!given.startsWith('@')) return given;
  if (given.startsWith('@@')) return given.slice(1);
  try {
    return readFileSync(resolve(terminal.cwd, given.slice(1)), 'utf8');
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw new UsageError(`${given.slice(1)} cannot be read (${code})`);
  }
}

/** A JSON value out of a text, a file or standard input; `what` names it in the error. */
export async function readJson(terminal: Terminal, given: string, what: string): Promise<JsonValue> {
  const text = await readText(terminal, given);
  try {
    return parseJson(text);
  } catch (error) {
    throw new UsageError(`${what} is no JSON: ${(error as Error).message}`);
  }
}

/** As readJson, for what must be an object. */
export async function readObject(terminal: Terminal, given: string, what: string): Promise<JsonObject> {
  const value = await readJson(terminal, given, what);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new UsageError(`${what} must be a JSON object`);
}

/** `KEY=VALUE` in two. */
export function splitPair(given: string, what: string): [key: string, value: string] {
  const at = given.indexOf('=');
  if (at < 1) throw new UsageError(`${what} must be KEY=VALUE, not \`${given}\``);
  return [given.slice(0, at), given.slice(at + 1)];
}

/** `500ms`, `30s`, `5m`, `1h` or seconds without a unit, in milliseconds. */
export function parseDuration(given: string): number {
  const [, amount = '', unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(given) ?? [];
  const factor = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit] ?? 0;
  const durationMs = Number(amount) * factor;
  if (amount === '' || durationMs <= 0) throw new UsageError(`\`${given}\` is no duration such as 500ms, 30s or 5m`);
  return durationMs;
}
