import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { type ApiKey, adminKeyId, keyNotFound } from './api-key.ts';
import type { ApiKeyDeps } from './create-api-key.ts';
import { hashKey, makeKey } from './key-text.ts';

const overlapMaxSeconds = 7 * 86_400;

/** Asks for a new secret; `overlapSeconds` is how long the present one stays good. */
export type RotateApiKeyInput = { readonly apiKey: string; readonly overlapSeconds: number };

/**
 * Gives a key a new secret and shows it once; the present one stays good for up to seven days more, one given up before ends at once. Fails
 * with KEY_NOT_FOUND, INVALID_REQUEST, and STATE_FORBIDS for a revoked key or the one that the environment names.
 */
export async function rotateApiKey(
  deps: ApiKeyDeps,
  input: RotateApiKeyInput,
): Promise<{ readonly apiKey: ApiKey; readonly secret: string }> {
  const { overlapSeconds } = input;
  if (overlapSeconds < 0 || overlapSeconds > overlapMaxSeconds)
    throw invalidField('overlap_seconds', `must lie between 0 and ${overlapMaxSeconds}`);
  const key = await deps.apiKeys.lock(input.apiKey);
  if (key === undefined) throw keyNotFound(input.apiKey);
  if (key.id === adminKeyId) throw refuse('from the environment', 'SIGNET_ADMIN_KEY names this key: change it there');
  if (key.revokeTime) throw refuse('revoked', 'A revoked key stays revoked; make a new one');
  const { key: secret, prefix } = makeKey();
  const now = deps.clock.now();
  const apiKey = await deps.apiKeys.replaceHash(key, {
    prefix,
    keyHash: hashKey(secret, deps.pepper),
    formerUntil: overlapSeconds === 0 ? null : new Date(now.getTime() + overlapSeconds * 1000),
    rotateTime: now,
  });
  return { apiKey, secret };
}

function refuse(state: string, message: string): AppError {
  return new AppError('STATE_FORBIDS', message, { metadata: { state, event: 'rotate' } });
}
