import { AppError } from '@signet/kit/error/app-error.ts';
import { requireEtag } from '../check/etag.ts';
import type { MoveInput } from './move-signature.ts';
import { signatureNotFound } from './signature.ts';
import type { SignatureStore } from './store.postgres.ts';

/** Deletes a signature that no program uses. Fails with SIGNATURE_NOT_FOUND, ETAG_MISMATCH and SIGNATURE_IN_USE. */
export async function deleteSignature(deps: { readonly signatures: SignatureStore }, input: MoveInput): Promise<void> {
  // Making a program holds its signature's key, so this waits for those that are being made, and then sees them.
  const signature = await deps.signatures.lock(input.signature);
  if (signature === undefined) throw signatureNotFound(input.signature);
  requireEtag(signature, input.etag);
  if (await deps.signatures.isUsed(signature.id)) {
    throw new AppError('SIGNATURE_IN_USE', 'Programs use this signature', {
      metadata: { resource: signature.module, state: signature.status },
    });
  }
  await deps.signatures.remove(signature.id);
}
