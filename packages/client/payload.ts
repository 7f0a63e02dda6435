import type { Payload } from '@signet/proto/gen/signet/v1/common.ts';
import { type JsonObject, parseJson, writeJson } from './json.ts';

/** Inputs or outputs as they go over the wire: JSON text, in which every digit is kept. */
export function toPayload(value: object): Payload {
  return { kind: { $case: 'json', value: Buffer.from(writeJson(value)) } };
}

/** What a payload holds; an empty object if it holds nothing. */
export function fromPayload(payload: Payload | undefined): JsonObject {
  const kind = payload?.kind;
  if (kind === undefined) return {};
  return kind.$case === 'json' ? (parseJson(kind.value.toString('utf8')) as JsonObject) : (kind.value ?? {});
}
