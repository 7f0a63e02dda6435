import type { CallContext } from '@signet/kit/call-context.ts';
import { traceIdOf } from '@signet/kit/telemetry/traceparent.ts';
import type { ChangedBy } from '../db/database.ts';
import { type Outcome, type RepeatableCall, type RepeatDeps, runOnce } from './run-once.ts';

/** Runs work on the stores of one session. */
export type UnitOfWork<Stores> = {
  /** Reads, outside any transaction. */
  read<T>(work: (stores: Stores) => Promise<T>): Promise<T>;
  /** Changes, in one transaction; `by` is what the audit log says of it, without it Signet itself did it. */
  change<T>(work: (stores: Stores) => Promise<T>, by?: ChangedBy): Promise<T>;
};

/** A message as the generated code writes and reads it. */
export type MessageCodec<Res> = {
  encode(message: Res): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Res;
};

/**
 * Serves a call that changes something: one transaction, repeated answers for a repeated request id, and the headers of the answer
 * (`signet-http-status`, `location`) once it is committed.
 */
export async function handleChange<Stores extends RepeatDeps, Res>(
  work: UnitOfWork<Stores>,
  method: string,
  request: { readonly requestId: string },
  codec: MessageCodec<Res>,
  ctx: CallContext,
  change: (stores: Stores) => Promise<Outcome<Res>>,
): Promise<Res> {
  const call: RepeatableCall<Res> = {
    method,
    requestId: request.requestId,
    request,
    encode: (response) => codec.encode(response).finish(),
    decode: (bytes) => codec.decode(bytes),
  };
  const outcome = await work.change(
    (stores) => runOnce(stores, call, ctx, () => change(stores)),
    changedBy(method, ctx),
  );
  for (const [name, value] of Object.entries(outcome.reply ?? {})) ctx.reply(name, value);
  return outcome.response;
}

/** The headers of an answer that made a resource. */
export function created(location: string): Record<string, string> {
  return { 'signet-http-status': '201', location };
}

/** What the audit log says of a call; our own processes without a caller are `signet`. */
export function changedBy(action: string, ctx: CallContext): ChangedBy {
  const { keyId = '', name = 'signet' } = ctx.principal ?? {};
  return { keyId, name, action, traceId: traceIdOf(ctx.trace) };
}
