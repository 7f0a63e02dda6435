import type { Role } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';

/** A key as it is kept; the key itself is nowhere. */
export type ApiKey = {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** The beginning of the key. */
  readonly prefix: string;
  readonly expireTime?: Date | null;
  readonly revokeTime?: Date | null;
  readonly rotateTime?: Date | null;
  readonly formerUntil?: Date | null;
  readonly labels: Record<string, string>;
  readonly rowVersion: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

/** The identity of the key that the environment names. */
export const adminKeyId = '00000000-0000-7000-8000-000000000001';

/** The error for a key that is not there. */
export function keyNotFound(named: string): AppError {
  const resource = named.slice(0, 100);
  return new AppError('KEY_NOT_FOUND', `There is no API key \`${resource}\``, { metadata: { resource } });
}
