import { createHash } from 'node:crypto';
import type { CallContext } from '@signet/kit/call-context.ts';
import { checkRequestId } from '../runtime/call-input.ts';
import { requestIdReused } from '../runtime/execute-once.ts';
import type { CallKey, IdempotencyStore } from './idempotency.postgres.ts';

/** Writes answers as bytes and reads them back, as generated messages do. */
export type AnswerCodec<T> = { encode(answer: T): { finish(): Uint8Array }; decode(bytes: Uint8Array): T };

/** A call that is to have its effect once. */
export type OnceCall<T> = {
  readonly method: string;
  /** Empty means that each call is one of its own. */
  readonly requestId: string;
  readonly request: unknown;
  readonly codec: AnswerCodec<T>;
  readonly ctx: CallContext;
};

// A first call without an answer for so long died on the way.
const orphanMs = 120_000;
const lookAgainMs = 50;

/**
 * Makes a call, or gives the answer of the first equal one. A call that failed is forgotten: it can be made again. INVALID_REQUEST for a
 * request id that is too long or not printable.
 */
export async function answerOnce<T>(
  deps: { readonly idempotency: IdempotencyStore },
  call: OnceCall<T>,
  run: () => Promise<T>,
): Promise<T> {
  if (call.requestId === '') return run();
  checkRequestId(call.requestId);
  const { ctx, codec } = call;
  const key: CallKey = { keyId: ctx.principal?.keyId ?? '', method: call.method, requestId: call.requestId };
  const hash = createHash('sha256').update(JSON.stringify(call.request)).digest();
  for (;;) {
    const first = await deps.idempotency.claim(key, hash, '');
    if (first.isOurs) break;
    if (!first.isSameRequest) throw requestIdReused(call.requestId);
    if (first.answer !== undefined) return codec.decode(first.answer);
    if (first.ageMs > orphanMs) await deps.idempotency.forget(key, orphanMs);
    if (ctx.signal.aborted) throw ctx.signal.reason;
    await new Promise((resolve) => setTimeout(resolve, lookAgainMs));
  }
  try {
    const answer = await run();
    await deps.idempotency.answer(key, Buffer.from(codec.encode(answer).finish()));
    return answer;
  } catch (error) {
    await deps.idempotency.forget(key).catch(() => {});
    throw error;
  }
}
