import { createHash } from 'node:crypto';
import type { AppErrorDetails } from '@signet/kit/error/app-error.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import {
  findUnstorableText,
  isObject,
  JsonError,
  type JsonObject,
  type JsonValue,
  jsonFromPlain,
} from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { RunOptions } from '../execution/execution.ts';

/** Inputs as a caller gave them: JSON text, data without text, or bytes that are no text at all. */
export type GivenInputs = { readonly text: string } | { readonly data: unknown } | { readonly unreadable: string };

/** Given inputs as a value. Throws JsonError. */
export function readGiven(given: GivenInputs): JsonValue {
  if ('unreadable' in given) throw new JsonError('JSON_SYNTAX', given.unreadable);
  return 'text' in given ? parseJson(given.text) : jsonFromPlain(given.data);
}

/** One run that is asked for. */
export type ExecuteInput = {
  /** Id or slug. */
  readonly program: string;
  readonly inputs: GivenInputs;
  readonly options: RunOptions;
  readonly labels: Readonly<Record<string, string>>;
  /** What the caller wants to keep with it; undefined means nothing. */
  readonly metadata: unknown;
  /** Empty means that each call is one of its own. */
  readonly requestId: string;
};

/** Inputs that were looked at: what is stored, and what to run or why not. */
export type CheckedInputs =
  | { readonly ok: true; readonly json: string; readonly values: JsonObject }
  | { readonly ok: false; readonly json: string; readonly error: AppError };

/** Reads inputs and checks them against a program's signature; never throws. What cannot be read as JSON is stored as `{}`. */
export function checkInputs(program: ServedProgram, given: GivenInputs): CheckedInputs {
  let value: JsonValue;
  try {
    value = readGiven(given);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return {
      ok: false,
      json: '{}',
      error: inputInvalid(error.message, [violation('inputs', error.reason, error.message)]),
    };
  }
  const result = program.checkInputs(value);
  if (result.ok) return { ok: true, json: textOf(given, value, result.values), values: result.values };
  const [first] = result.violations;
  const error = inputInvalid(`${first!.field}: ${first!.description}`, result.violations);
  return { ok: false, json: isObject(value) ? writeJson(value) : '{}', error };
}

/** The caller's own text where the check changed nothing, so that nothing is written anew for most calls. */
function textOf(given: GivenInputs, value: JsonValue, values: JsonObject): string {
  if (!('text' in given) || !isObject(value) || value.size !== values.size) return writeJson(values);
  const entries = value.entries();
  for (const [name, checked] of values) {
    const next = entries.next().value!;
    if (next[0] !== name || next[1] !== checked) return writeJson(values);
  }
  return given.text;
}

function violation(field: string, reason: string, description: string) {
  return { field, reason, description };
}

function inputInvalid(problem: string, fieldViolations: AppErrorDetails['fieldViolations']): AppError {
  return new AppError(
    'INPUT_INVALID',
    `Input validation failed: ${problem}`,
    fieldViolations ? { fieldViolations } : {},
  );
}

const labelsMax = 64;
const labelKey = /^[a-z][a-z0-9_.-]{0,62}$/;

/** The labels as JSON text, null if there are none. INVALID_REQUEST for keys and values that labels cannot have. */
export function labelsText(labels: Readonly<Record<string, string>>): string | null {
  const entries = Object.entries(labels);
  if (entries.length === 0) return null;
  if (entries.length > labelsMax) throw invalidField('labels', `at most ${labelsMax} are taken`);
  for (const [key, value] of entries) {
    const shown = key.slice(0, 64).toWellFormed().replaceAll('\u0000', '');
    if (!labelKey.test(key)) throw invalidField(`labels.${shown}`, `a key must match ${labelKey.source}`);
    if (value.length > 256) throw invalidField(`labels.${shown}`, 'a value has at most 256 characters');
    if (!value.isWellFormed() || value.includes('\u0000'))
      throw invalidField(`labels.${shown}`, 'the text cannot be stored');
  }
  return JSON.stringify(labels);
}

/** Metadata of a caller as a value, absent if there is none. INVALID_REQUEST for what cannot be stored. */
export function metadataOf(metadata: unknown): JsonObject | undefined {
  if (metadata === undefined || metadata === null) return undefined;
  let value: JsonValue;
  try {
    value = jsonFromPlain(metadata);
  } catch (error) {
    if (error instanceof JsonError) throw invalidField('metadata', error.message, error.reason);
    throw error;
  }
  if (!isObject(value)) throw invalidField('metadata', 'must be an object');
  const bad = findUnstorableText(value, 'metadata');
  if (bad !== undefined) throw invalidField(bad, 'the text cannot be stored', 'TEXT_INVALID');
  return value;
}

/** Refuses a request_id that is too long or unprintable. */
export function checkRequestId(requestId: string): void {
  if (requestId === '' || /^[\x20-\x7e]{1,128}$/.test(requestId)) return;
  throw invalidField('request_id', 'must be at most 128 printable characters');
}

/** A hash of what makes two calls the same request. */
export function requestHash(input: Omit<ExecuteInput, 'requestId'>): Buffer {
  const { program, inputs, options, labels, metadata } = input;
  const text = 'text' in inputs ? inputs.text : JSON.stringify(inputs);
  const parts = [program, text, options, labels, metadata ?? null];
  return createHash('sha256').update(JSON.stringify(parts)).digest();
}
