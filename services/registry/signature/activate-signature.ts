import { type MoveInput, moveSignature } from './move-signature.ts';
import type { Signature } from './signature.ts';
import type { SignatureStore } from './store.postgres.ts';

/** Moves a signature from DRAFT to ACTIVE. Fails with SIGNATURE_NOT_FOUND, ETAG_MISMATCH and STATE_FORBIDS. */
export function activateSignature(deps: { readonly signatures: SignatureStore }, input: MoveInput): Promise<Signature> {
  return moveSignature(deps, input, {
    event: 'activate',
    from: 'draft',
    to: 'active',
    refusal: 'Only draft signatures can be activated',
  });
}
