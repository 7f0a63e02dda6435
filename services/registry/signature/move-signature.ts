import { AppError } from '@signet/kit/error/app-error.ts';
import { requireEtag } from '../check/etag.ts';
import { type Signature, type SignatureStatus, signatureNotFound } from './signature.ts';
import type { SignatureStore } from './store.postgres.ts';

/** Names a signature, by id or module, and the state of it that the caller saw. */
export type MoveInput = { readonly signature: string; readonly etag: string };

/** One step of a signature's life. */
export type Move = {
  readonly event: string;
  readonly from: SignatureStatus;
  readonly to: SignatureStatus;
  readonly refusal: string;
};

/** Takes one step of a signature's life; of many callers one takes it, the others get STATE_FORBIDS. */
export async function moveSignature(
  deps: { readonly signatures: SignatureStore },
  input: MoveInput,
  move: Move,
): Promise<Signature> {
  const signature = await deps.signatures.lock(input.signature);
  if (signature === undefined) throw signatureNotFound(input.signature);
  requireEtag(signature, input.etag);
  if (signature.status !== move.from) {
    throw new AppError('STATE_FORBIDS', move.refusal, { metadata: { state: signature.status, event: move.event } });
  }
  return deps.signatures.change(signature, { status: move.to });
}
