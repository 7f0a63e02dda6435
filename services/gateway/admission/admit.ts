import type { Context } from '@opentelemetry/api';
import type { Principal } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { KeyRing } from './key.ts';
import type { RateLimiter, RateState } from './rate-limit.ts';
import { requireMethodRole } from './role.ts';

/** What is needed to let somebody in. */
export type AdmitDeps = {
  readonly keys: KeyRing;
  readonly calls: RateLimiter;
  /** Failed attempts by address; wider than the limit of calls. */
  readonly failures: RateLimiter;
};

/** Who knocks, for what. */
export type Knock = {
  readonly authorization: string | undefined;
  /** The caller's address, without port. */
  readonly ip: string;
  /** `/service/method`. */
  readonly path: string;
  /** The server span of the call. */
  readonly trace: Context;
};

/** Who was let in. */
export type Admitted = { readonly principal: Principal; readonly rate: RateState | undefined };

/** A refusal by the limit, with the state that the answer's headers tell. */
export class RateLimitedError extends AppError {
  readonly rate: RateState;

  constructor(rate: RateState) {
    const seconds = Math.max(1, Math.ceil(rate.resetMs / 1000));
    super('RATE_LIMITED', `Too many calls; try again in ${seconds} s`, {
      retryAfterMs: Math.max(1, Math.ceil(rate.resetMs)),
      metadata: { limit: String(rate.limit.count), window_ms: String(rate.limit.windowMs) },
    });
    this.rate = rate;
  }
}

/**
 * Lets a caller in or throws: key, then role, then limit, before anything is looked up. Answers at once when the key is fresh
 * in memory, which is the rule.
 */
export function admit(deps: AdmitDeps, knock: Knock): Admitted | Promise<Admitted> {
  let principal: Principal | undefined;
  try {
    principal = deps.keys.known(knock.authorization);
  } catch (error) {
    throw countFailure(deps, knock, error);
  }
  if (principal !== undefined) return enter(deps, principal, knock);
  return admitUnknown(deps, knock);
}

/** Counts a call of somebody without a key, by address; throws RATE_LIMITED. */
export function admitAnonymous(deps: AdmitDeps, ip: string, action: string): RateState | undefined {
  return take(deps.calls, `ip ${network(ip)} ${action}`);
}

async function admitUnknown(deps: AdmitDeps, knock: Knock): Promise<Admitted> {
  const failures = deps.failures.look(network(knock.ip));
  if (failures?.allowed === false) throw new RateLimitedError(failures);
  let principal: Principal;
  try {
    principal = await deps.keys.resolve(knock.authorization, knock.trace);
  } catch (error) {
    throw countFailure(deps, knock, error);
  }
  return enter(deps, principal, knock);
}

function enter(deps: AdmitDeps, principal: Principal, knock: Knock): Admitted {
  requireMethodRole(principal, knock.path);
  return { principal, rate: take(deps.calls, `key ${principal.keyId} ${knock.path}`) };
}

function take(limiter: RateLimiter, name: string): RateState | undefined {
  const rate = limiter.take(name);
  if (rate?.allowed === false) throw new RateLimitedError(rate);
  return rate;
}

function countFailure(deps: AdmitDeps, knock: Knock, error: unknown): unknown {
  const { reason } = normalizeError(error);
  if (reason !== 'KEY_MISSING' && reason !== 'KEY_INVALID' && reason !== 'KEY_EXPIRED') return error;
  const rate = deps.failures.take(network(knock.ip));
  return rate?.allowed === false ? new RateLimitedError(rate) : error;
}

// One household of IPv6 has 2^64 addresses.
function network(ip: string): string {
  const plain = ip.startsWith('::ffff:') && ip.includes('.') ? ip.slice(7) : ip;
  return plain.includes(':') ? plain.split(':').slice(0, 4).join(':') : plain;
}
