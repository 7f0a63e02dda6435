import type { PromptAdapter } from '@signet/predict/plan/plan.ts';
import { readJson } from '@signet/predict/python/read-json.ts';
import { renderMessages } from '@signet/predict/render/render-messages.ts';
import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { canonicalText } from './encode.ts';
import { type CaseOutcome, type Difference, differ } from './outcome.ts';
import { CompileError, defineProgram, makePlan, onlyPredictor } from './program.ts';
import type { Runner } from './runner.ts';
import type { RecordedSignature } from './signature-record.ts';

/** What a format case asks: a program's prompt under one or both adapters. */
export type FormatCase = {
  readonly id: string;
  readonly signature: RecordedSignature;
  readonly demos: readonly JsonObject[];
  readonly inputs: JsonObject;
  readonly flags: readonly JsonValue[];
  /** The expected messages, or `{error, message}`, by adapter. */
  readonly messages: JsonObject;
};

const ADAPTERS: readonly PromptAdapter[] = ['chat', 'json'];

/** Shows the prompt and compares it byte for byte. */
export async function runFormatCase(runner: Runner, given: FormatCase): Promise<CaseOutcome> {
  const got = new Map<string, JsonValue>();
  let difference: Difference | undefined;
  let reason: string | undefined;
  const show = runner.via === 'native' ? showNatively(runner, given) : undefined;
  const inPython = showInPython(runner, given);
  for (const adapter of ADAPTERS) {
    const want = given.messages.get(adapter);
    if (want === undefined) continue;
    let shown = await (show ?? inPython)(adapter);
    if (shown instanceof Declined) {
      reason = shown.why;
      shown = await inPython(adapter);
    }
    got.set(adapter, shown);
    difference ??= compare(given, adapter, want, shown);
  }
  const via = reason === undefined ? runner.via : 'routed';
  const outcome = { id: given.id, via, got: new Map([['messages', got]]) } as const;
  return { ...outcome, ...(reason && { reason }), ...(difference && { difference }) };
}

// What only Python shows.
class Declined {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

type Show<T> = (adapter: PromptAdapter) => Promise<T>;

function showNatively({ sidecar, clock }: Runner, given: FormatCase): Show<JsonValue | Declined> {
  const planned = new Map<PromptAdapter, ReturnType<typeof makePlan>>();
  const planFor = (adapter: PromptAdapter): ReturnType<typeof makePlan> => {
    const known = planned.get(adapter) ?? makePlan(sidecar, defineProgram(given.signature, given.demos, adapter));
    planned.set(adapter, known);
    return known;
  };
  return async (adapter) => {
    try {
      // One plan has both adapters' prompts; only where Chat refuses a demo, JSON is asked for by itself.
      const plan = await planFor('chat').catch((error: unknown) => {
        if (adapter === 'json' && error instanceof CompileError) return planFor('json');
        throw error;
      });
      const shown = clock(() => renderMessages(onlyPredictor(plan), adapter, given.inputs));
      if (shown.kind === 'messages') {
        return shown.messages.map(
          ({ role, content }) =>
            new Map([
              ['role', role],
              ['content', content],
            ]),
        );
      }
      return shown.kind === 'failed' ? refused(shown.pythonType, shown.message) : new Declined(shown.why);
    } catch (error) {
      if (error instanceof CompileError) return refused(error.pythonType, error.message);
      throw error;
    }
  };
}

function showInPython({ sidecar }: Runner, given: FormatCase): Show<JsonValue> {
  return async (adapter) => {
    const program = defineProgram(given.signature, given.demos, adapter);
    const compiled = await sidecar.compile(program);
    if (compiled.error !== undefined) return refused(compiled.error.pythonType, compiled.error.message);
    const shown = await sidecar.render(program, 'predict', adapter, writeJson(given.inputs));
    if (shown.error !== undefined) return refused(shown.error.pythonType, shown.error.message);
    const read = readJson(shown.messagesJson.toString('utf8'));
    if (typeof read === 'string') throw new Error('the sidecar showed no JSON');
    return read.value as JsonValue;
  };
}

function refused(pythonType: string, message: string): JsonValue {
  return new Map([
    ['error', pythonType],
    ['message', message],
  ]);
}

function compare(given: FormatCase, adapter: string, want: JsonValue, got: JsonValue): Difference | undefined {
  const gotError = errorOf(got);
  if (gotError !== undefined && given.flags.includes('nonstr_list')) return undefined;
  const wantError = errorOf(want);
  if (wantError !== undefined || gotError !== undefined) {
    return differ(`${adapter} error`, wantError ?? writeJson(want), gotError ?? writeJson(got));
  }
  if (!Array.isArray(want) || !Array.isArray(got)) return differ(adapter, canonicalText(want), canonicalText(got));
  for (let index = 0; index < Math.max(want.length, got.length); index++) {
    const found = compareMessage(`${adapter} message ${index}`, want[index], got[index]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function compareMessage(what: string, want: JsonValue | undefined, got: JsonValue | undefined): Difference | undefined {
  const part = (message: JsonValue | undefined, key: string): string => {
    const value = message instanceof Map ? message.get(key) : undefined;
    return typeof value === 'string' ? value : `no ${key}`;
  };
  return (
    differ(`${what} role`, part(want, 'role'), part(got, 'role')) ??
    differ(what, part(want, 'content'), part(got, 'content'))
  );
}

function errorOf(value: JsonValue): string | undefined {
  const error = value instanceof Map ? value.get('error') : undefined;
  return typeof error === 'string' ? error : undefined;
}
