import type { Principal } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { KeyLookup } from './key-lookup.postgres.ts';
import { hashKey, isPlausibleKey } from './key-text.ts';
import type { Peppers } from './open-peppers.ts';

/** What finding a key's owner needs. */
export type AuthenticateDeps = {
  readonly keys: KeyLookup;
  readonly peppers: Peppers;
  /** The key of the environment: taken as it is, whatever its form. */
  readonly adminKey: string | undefined;
};

/**
 * Finds whose key a text is, by its HMAC: one query, and none for what cannot be a key. The time that it takes says nothing about how
 * much of a key was right. Fails with KEY_INVALID (unknown, revoked, or no key at all) and KEY_EXPIRED.
 */
export async function authenticateKey(
  deps: AuthenticateDeps,
  key: string,
): Promise<Principal & { readonly expireTime: Date | undefined }> {
  if (key !== deps.adminKey && !isPlausibleKey(key)) throw keyInvalid();
  const found = await deps.keys.byHash(deps.peppers.map((pepper) => hashKey(key, pepper)));
  if (found === undefined || found.isRevoked) throw keyInvalid();
  const { id, name, role, expireTime } = found;
  if (found.isExpired) throw new AppError('KEY_EXPIRED', 'The API key has expired', { metadata: { key_id: id } });
  return { keyId: id, name, role, expireTime };
}

function keyInvalid(): AppError {
  return new AppError('KEY_INVALID', 'The API key is not valid');
}
