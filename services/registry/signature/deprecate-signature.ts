import { type MoveInput, moveSignature } from './move-signature.ts';
import type { Signature } from './signature.ts';
import type { SignatureStore } from './store.postgres.ts';

/** Moves a signature from ACTIVE to DEPRECATED, for good. Fails with SIGNATURE_NOT_FOUND, ETAG_MISMATCH and STATE_FORBIDS. */
export function deprecateSignature(
  deps: { readonly signatures: SignatureStore },
  input: MoveInput,
): Promise<Signature> {
  return moveSignature(deps, input, {
    event: 'deprecate',
    from: 'active',
    to: 'deprecated',
    refusal: 'Only active signatures can be deprecated',
  });
}
