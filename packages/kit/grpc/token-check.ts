import { timingSafeEqual } from 'node:crypto';
import { AppError } from '../error/app-error.ts';
import type { RawCall } from './server-call.ts';

/** Makes what throws KEY_MISSING for a call that does not bring `authorization: Bearer` and the internal token. */
export function tokenCheck(internalToken: string): (raw: Pick<RawCall, 'metadata'>) => void {
  const bearer = Buffer.from(`Bearer ${internalToken}`);
  return (raw) => {
    const given = Buffer.from(raw.metadata.get('authorization')[0] ?? '');
    if (given.length !== bearer.length || !timingSafeEqual(given, bearer)) {
      throw new AppError('KEY_MISSING', 'This door is for our own processes');
    }
  };
}
