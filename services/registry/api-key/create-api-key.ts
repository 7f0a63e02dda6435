import type { Role } from '@signet/kit/call-context.ts';
import type { Clock } from '@signet/kit/clock.ts';
import { FieldChecks } from '../check/field-checks.ts';
import type { ApiKey } from './api-key.ts';
import { hashKey, makeKey } from './key-text.ts';
import type { ApiKeyStore } from './store.postgres.ts';

/** What the use cases of keys need. */
export type ApiKeyDeps = { readonly apiKeys: ApiKeyStore; readonly pepper: string; readonly clock: Clock };

/** A new key. */
export type CreateApiKeyInput = {
  readonly name: string;
  readonly role: Role | undefined;
  readonly expireTime: Date | undefined;
  readonly labels: Record<string, string>;
};

/** Makes a key and gives it away: the only time that anybody sees it. Fails with INVALID_REQUEST. */
export async function createApiKey(
  deps: ApiKeyDeps,
  input: CreateApiKeyInput,
): Promise<{ readonly apiKey: ApiKey; readonly secret: string }> {
  const checks = new FieldChecks();
  checks.text('name', input.name, { max: 200, required: true, oneLine: true });
  if (input.role === undefined) checks.add('role', 'must be viewer, runner, editor or admin', 'REQUIRED');
  checkExpireTime(deps.clock, input.expireTime, checks);
  checks.labels('labels', input.labels);
  checks.done();
  const { key, prefix } = makeKey();
  const apiKey = await deps.apiKeys.create({
    name: input.name,
    role: input.role ?? 'viewer',
    prefix,
    keyHash: hashKey(key, deps.pepper),
    expireTime: input.expireTime ?? null,
    labels: input.labels,
  });
  return { apiKey, secret: key };
}

/** Adds a fault if a time of expiry does not lie ahead, or beyond the year 9999. */
export function checkExpireTime(clock: Clock, expireTime: Date | undefined, checks: FieldChecks): void {
  if (expireTime === undefined) return;
  const time = expireTime.getTime();
  if (!(time > clock.now().getTime())) checks.add('expire_time', 'must lie ahead', 'PAST');
  else if (time > Date.UTC(9999, 11, 31)) checks.add('expire_time', 'must lie before the year 10000', 'TOO_LATE');
}
