import { createHmac } from 'node:crypto';
import type { EnvReader } from './env.ts';

/** The token that our own processes show each other when none is given: an HMAC under the secret key, 64 hex digits. */
export function deriveInternalToken(secretKey: string): string {
  return createHmac('sha256', secretKey).update('internal-token').digest('hex');
}

/** Reads SIGNET_INTERNAL_TOKEN, or derives it from SIGNET_SECRET_KEY; a fault if neither is set. */
export function readInternalToken(env: EnvReader): string {
  const given = env.optional('SIGNET_INTERNAL_TOKEN');
  if (given !== undefined) return given;
  const secretKey = env.optional('SIGNET_SECRET_KEY');
  if (secretKey !== undefined) return deriveInternalToken(secretKey);
  env.fault('SIGNET_INTERNAL_TOKEN or SIGNET_SECRET_KEY (or one of their _FILE forms) must be set');
  return '';
}
