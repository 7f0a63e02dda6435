import { JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { canonicalText } from './encode.ts';
import { playInPython } from './flow-in-python.ts';
import { playNatively } from './flow-natively.ts';
import { type FlowCase, readFlowCase } from './flow-record.ts';
import { type CaseOutcome, differ, type Via } from './outcome.ts';
import type { Played } from './played.ts';
import type { Runner } from './runner.ts';

/**
 * Runs a module against scripted replies, as an executor does; compares each LM call's messages and options, and the outcome. What the
 * native engine declines is run by Python, as serving does.
 */
export async function runFlowCase(runner: Runner, id: string, record: JsonObject): Promise<CaseOutcome> {
  const given = readFlowCase(id, record);
  const { via, played, reason } = await play(runner, given);
  const got = told(played);
  const [want, have] = [told(given), got].map((flow) => canonicalText(played.byWire ? byWire(flow) : flow));
  const difference = differ('flow', want ?? '', have ?? '');
  return { id, via, got, ...(reason && { reason }), ...(difference && { difference }) };
}

type Answer = { readonly via: Via; readonly played: Played; readonly reason?: string | undefined };

async function play(runner: Runner, given: FlowCase): Promise<Answer> {
  if (runner.via === 'sidecar') return { via: 'sidecar', played: await playInPython(runner, given) };
  const played = await playNatively(runner, given);
  if (played.declined !== undefined) {
    return { via: 'routed', played: await playInPython(runner, given), reason: played.declined };
  }
  return { via: played.handedOver === undefined ? 'native' : 'routed', played, reason: played.handedOver };
}

function told({ calls, outcome }: Played): JsonValue {
  return new Map<string, JsonValue>([
    ['calls', calls],
    ['outcome', outcome],
  ]);
}

// A request to a model is plain JSON, where 0 and 0.0 are one number.
function byWire(value: JsonValue): JsonValue {
  if (value instanceof JsonNumber) return new JsonNumber(JSON.stringify(value.toNumber()));
  if (Array.isArray(value)) return value.map(byWire);
  return value instanceof Map ? new Map([...value].map(([key, member]) => [key, byWire(member)])) : value;
}
