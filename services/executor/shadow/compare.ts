import type { JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { ComparedCall, ComparedRun, Differences } from './shadow.ts';
import { storableText } from './storable-text.ts';

const textMax = 2_000;
const beforeChars = 100;
const fieldsMax = 50;

/** What differs between a run and its shadow: requests by their bytes, outputs field by field with every digit and type, failures by reason. */
export function compareRuns(primary: ComparedRun, shadow: ComparedRun): Differences {
  const outputs = compareOutputs(primary.outputs, shadow.outputs);
  return {
    ...(primary.calls.length === shadow.calls.length
      ? {}
      : { lm_calls: { primary: primary.calls.length, shadow: shadow.calls.length } }),
    ...compareCalls(primary.calls, shadow.calls),
    ...(outputs.length === 0 ? {} : { outputs }),
    ...(primary.failure === shadow.failure ? {} : { error: { primary: primary.failure, shadow: shadow.failure } }),
  };
}

function compareCalls(
  primary: readonly ComparedCall[],
  shadow: readonly ComparedCall[],
): Pick<Differences, 'messages' | 'request'> {
  const both = Math.min(primary.length, shadow.length);
  for (let call = 0; call < both; call += 1) {
    const [one, other] = [primary[call]!, shadow[call]!];
    if (one.requestHash.equals(other.requestHash)) continue;
    const messages = compareMessages(one, other);
    // What comes after was asked because of it, and tells nothing.
    return messages === undefined ? { request: { call: call + 1 } } : { messages: { call: call + 1, ...messages } };
  }
  return {};
}

function compareMessages({ messages: one }: ComparedCall, { messages: other }: ComparedCall) {
  if (one === undefined || other === undefined) return undefined;
  for (let message = 0; message < Math.max(one.length, other.length); message += 1) {
    const [a, b] = [textOf(one[message]), textOf(other[message])];
    if (a === b) continue;
    const at = firstDifference(a, b);
    const from = Math.max(at - beforeChars, 0);
    return { message: message + 1, at, primary: cut(a, from), shadow: cut(b, from) };
  }
  return undefined;
}

// A message that is not there is told from an empty one by its role.
function textOf(message: { readonly role: string; readonly content: string } | undefined): string {
  return message === undefined ? '' : `${message.role}: ${message.content}`;
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  return at;
}

function compareOutputs(
  primary: ComparedRun['outputs'],
  shadow: ComparedRun['outputs'],
): NonNullable<Differences['outputs']> {
  if (primary === undefined || shadow === undefined) return [];
  const fields = [...new Set([...primary.keys(), ...shadow.keys()])];
  const differing = fields.flatMap((field) => {
    const [a, b] = [jsonOf(primary.get(field)), jsonOf(shadow.get(field))];
    if (a === b) return [];
    const from = Math.max(firstDifference(a, b) - beforeChars, 0);
    return [{ field: storableText(field), primary: cut(a, from), shadow: cut(b, from) }];
  });
  return differing.slice(0, fieldsMax);
}

function jsonOf(value: JsonValue | undefined): string {
  return value === undefined ? '' : writeJson(value);
}

function cut(text: string, from: number): string {
  const part = text.slice(from, from + textMax);
  return storableText(`${from > 0 ? '…' : ''}${part}${from + textMax < text.length ? '…' : ''}`);
}
