import { chatSections } from '@signet/predict/parse/chat-sections.ts';
import type { PromptAdapter } from '@signet/predict/plan/plan.ts';
import { readJson } from '@signet/predict/python/read-json.ts';
import { JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { readCorpusSignature } from './corpus-signature.ts';
import { asObject, listAt, objectAt, textAt, UntellableError } from './record.ts';
import type { RecordedSignature } from './signature-record.ts';

/** What the scripted model does with one call. */
export type ScriptedReply = { readonly text: string } | { readonly raises: string };

/** A flow case: a program, a scripted model, and what is to come of it. */
export type FlowCase = {
  readonly id: string;
  readonly signature: RecordedSignature;
  readonly adapter: PromptAdapter;
  /** What the model takes as `response_format`. */
  readonly lm: { readonly jsonSchema: boolean; readonly jsonObject: boolean };
  readonly options: JsonObject;
  /** Whether Chat asks once more as JSON. */
  readonly fallback: boolean;
  readonly inputs: JsonObject;
  readonly replies: readonly ScriptedReply[];
  /** The calls of the model, one a completion. */
  readonly calls: readonly JsonValue[];
  readonly outcome: JsonValue;
};

/** Reads a flow case of the corpus. Throws UntellableError for what a program cannot tell. */
export function readFlowCase(id: string, record: JsonObject): FlowCase {
  const shown = shownInputs(record);
  const signature = readCorpusSignature(record, shown);
  const caps = objectAt(record, 'caps');
  const params = caps.get('params');
  const takesFormat = Array.isArray(params) && params.includes('response_format');
  return {
    id,
    signature,
    adapter: record.get('adapter') === 'JSONAdapter' ? 'json' : 'chat',
    lm: { jsonObject: takesFormat, jsonSchema: takesFormat && caps.get('rs') === true },
    options: objectAt(record, 'config'),
    fallback: objectAt(record, 'adapter_args').get('use_json_adapter_fallback') !== false,
    inputs: givenInputs(signature, shown),
    replies: listAt(record, 'lm_outputs').flatMap((output) => readReply(String(output))),
    calls: listAt(record, 'calls').flatMap((call) => oneCallEach(asObject(call, 'a call'))),
    outcome: outcomeOf(record),
  };
}

// The corpus keeps a flow's inputs in the first user message alone.
function shownInputs(record: JsonObject): JsonObject {
  const [first] = listAt(record, 'calls');
  const user = asObject(listAt(asObject(first, 'a call'), 'messages').at(-1), 'a message').get('content');
  // With media in it an input is of a class, which is refused by its type.
  if (typeof user !== 'string') return new Map();
  const names = listAt(objectAt(record, 'signature'), 'fields').flatMap((field) => {
    const made = asObject(field, 'a field');
    return made.get('kind') === 'input' ? [textAt(made, 'name')] : [];
  });
  return chatSections(user.split('\n\nRespond with ')[0] ?? '', new Set(names));
}

// What has a default is left out, so that it is the program that fills it.
function givenInputs({ spec }: RecordedSignature, shown: JsonObject): JsonObject {
  return new Map(
    spec.inputs.flatMap(({ name, default: filled }) => {
      const value = shown.get(name);
      return filled !== undefined || value === undefined ? [] : [[name, value] as const];
    }),
  );
}

// An exception that the model raises, a completion, or a list of several for one call.
function readReply(repr: string): ScriptedReply[] {
  const raises = /^([A-Za-z]+)\(/.exec(repr)?.[1];
  if (raises !== undefined) return [{ raises }];
  if (!repr.startsWith('[')) return [{ text: textOfRepr(repr) }];
  return [...repr.matchAll(/'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/g)].map(([text]) => ({
    text: textOfRepr(text),
  }));
}

// Serving asks for each of several completions by a call of its own, so one call with `n` stands for that many.
function oneCallEach(call: JsonObject): JsonValue[] {
  const kwargs = new Map(objectAt(call, 'kwargs'));
  const count = kwargs.get('n');
  kwargs.delete('n');
  const own = new Map<string, JsonValue>([...call, ['kwargs', kwargs]]);
  return Array.from({ length: count instanceof JsonNumber ? count.toNumber() : 1 }, () => own);
}

function outcomeOf(record: JsonObject): JsonValue {
  const error = record.get('error');
  if (error instanceof Map) return new Map([['error', error.get('type') ?? null]]);
  const result = record.get('result');
  if (!(result instanceof Map)) throw new UntellableError('the record has no outcome');
  return new Map([['result', result]]);
}

/** The text that a Python `repr` of a text tells; throws UntellableError for the repr of anything else. */
export function textOfRepr(repr: string): string {
  const quote = repr.charAt(0);
  if ((quote !== "'" && quote !== '"') || !repr.endsWith(quote)) {
    throw new UntellableError(`the value ${repr.slice(0, 60)} exists as repr alone`);
  }
  const inside = repr
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-f]{2})|([\s\S]))|"/g, (found, hex?: string, letter?: string) => {
      if (found === '"') return '\\"';
      if (hex !== undefined) return `\\u00${hex}`;
      return letter === "'" ? "'" : `\\${letter}`;
    });
  const read = readJson(`"${inside}"`);
  if (typeof read === 'string' || typeof read.value !== 'string') throw new Error(`no text: ${repr.slice(0, 60)}`);
  return read.value;
}
