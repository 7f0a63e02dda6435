import { createHash } from 'node:crypto';
import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import type { RepeatStore } from './store.postgres.ts';

/** What repeating calls needs. */
export type RepeatDeps = { readonly repeats: RepeatStore };

/** A call that may be repeated. */
export type RepeatableCall<Res> = {
  readonly method: string;
  /** Empty: each call stands for itself. */
  readonly requestId: string;
  readonly request: object;
  encode(response: Res): Uint8Array;
  decode(bytes: Uint8Array): Res;
};

/** What a call came to: its response, headers of the answer, and what repeats get if not the response itself. */
export type Outcome<Res> = {
  readonly response: Res;
  readonly reply?: Readonly<Record<string, string>>;
  readonly remembered?: Res;
};

/**
 * Runs a change, or gives the answer that the same key got for the same request id and method within 24 hours. To be called inside the
 * change's transaction: of two equal calls at once the second waits for the first. IDEMPOTENCY_KEY_REUSED if the request is another.
 */
export async function runOnce<Res>(
  deps: RepeatDeps,
  call: RepeatableCall<Res>,
  ctx: CallContext,
  work: () => Promise<Outcome<Res>>,
): Promise<Outcome<Res>> {
  if (call.requestId === '') return work();
  if (!/^[\x20-\x7e]{1,128}$/.test(call.requestId)) {
    throw invalidField('request_id', 'must have at most 128 printable characters');
  }
  const { method, requestId } = call;
  const id = { keyId: ctx.principal?.keyId ?? 'internal', method, requestId };
  const requestHash = hashRequest(call.request);
  const earlier = await deps.repeats.claim(id, requestHash);
  if (earlier === undefined) {
    const outcome = await work();
    const response = Buffer.from(call.encode(outcome.remembered ?? outcome.response));
    await deps.repeats.remember(id, response, { ...outcome.reply });
    return outcome;
  }
  if (earlier.requestHash !== requestHash || earlier.response === undefined) {
    throw new AppError('IDEMPOTENCY_KEY_REUSED', 'This request_id was used for another request', {
      metadata: { request_id: requestId },
      fieldViolations: [
        { field: 'request_id', reason: 'IDEMPOTENCY_KEY_REUSED', description: 'was used for another request' },
      ],
    });
  }
  return { response: call.decode(earlier.response), reply: earlier.reply };
}

/** A hash of a request that does not depend on the order of map entries. */
function hashRequest(request: object): string {
  const text = JSON.stringify(request, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`;
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
  return createHash('sha256').update(text).digest('hex');
}
