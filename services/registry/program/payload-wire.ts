import type { Payload } from '@signet/proto/gen/signet/v1/common.ts';
import { JsonError, jsonFromPlain, plainFromJson } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { GivenPayload } from './check-configuration.ts';

/** In which form payloads are written. */
export type PayloadKind = 'struct' | 'json';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads a payload; what is wrong with it comes back as a value, for the check of the whole request. */
export function readPayload({ kind }: Payload): GivenPayload {
  try {
    if (kind === undefined) return new JsonError('JSON_SYNTAX', 'is empty');
    if (kind.$case === 'struct') return jsonFromPlain(kind.value ?? {});
    return parseJson(utf8.decode(kind.value));
  } catch (error) {
    if (error instanceof JsonError) return error;
    return new JsonError('JSON_SYNTAX', 'is not UTF-8 text');
  }
}

/** True if a payload holds bytes that Python's pickle wrote: its second protocol and all later ones begin like this. */
export function isPickle(payload: Payload | undefined): boolean {
  return payload?.kind?.$case === 'json' && payload.kind.value[0] === 0x80;
}

/** Writes the JSON text of an object as a payload. */
export function toPayload(text: string, kind: PayloadKind): Payload {
  if (kind === 'json') return { kind: { $case: 'json', value: Buffer.from(text) } };
  return { kind: { $case: 'struct', value: plainFromJson(parseJson(text)) as Record<string, unknown> } };
}
