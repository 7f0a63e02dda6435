import type { Role as KeyRole } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { GrpcPeer } from '@signet/kit/grpc/client.ts';
import { RegistryInternalServiceService } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { Role } from '@signet/proto/gen/signet/v1/api_key.ts';
import type { Authenticate } from './key.ts';

const roleOf: Readonly<Record<number, KeyRole>> = {
  [Role.ROLE_VIEWER]: 'viewer',
  [Role.ROLE_RUNNER]: 'runner',
  [Role.ROLE_EDITOR]: 'editor',
  [Role.ROLE_ADMIN]: 'admin',
};

/** How long the registry may take to answer, in milliseconds. */
const answerWithinMs = 5000;

/** Asks the registry whose a key is, within its own bound: the answer serves many calls, however short each one's deadline. */
export function createAuthenticate(registry: GrpcPeer): Authenticate {
  return async (key, trace) => {
    const ctx = {
      signal: AbortSignal.timeout(answerWithinMs),
      deadlineMs: Date.now() + answerWithinMs,
      trace,
    };
    const found = await registry.unary(RegistryInternalServiceService.authenticateKey, { key }, ctx).catch(busy);
    const role = roleOf[found.role];
    // A role that this gateway does not know yet may do nothing.
    if (role === undefined) throw new AppError('ROLE_REQUIRED', 'the role of this key is not known here');
    return {
      principal: { keyId: found.keyId, name: found.name, role },
      expireMs: found.expireTime?.getTime(),
    };
  };
}

// The caller's own deadline has not passed, whatever became of ours.
function busy(error: unknown): never {
  if (error instanceof AppError && (error.reason === 'DEADLINE_EXCEEDED' || error.reason === 'CANCELLED')) {
    throw new AppError('SERVICE_UNAVAILABLE', 'The registry does not answer', {
      retryAfterMs: 1000,
      metadata: { service: 'registry' },
      cause: error,
    });
  }
  throw error;
}
