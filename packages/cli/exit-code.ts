import { status } from '@grpc/grpc-js';
import { SignetError } from '@signet/client/signet-error.ts';
import { UsageError } from './usage-error.ts';

/** Exit codes of the command; scripts rely on them. */
export const exitCodes = {
  ok: 0,
  /** The call failed or was refused for what it asked. */
  failed: 1,
  /** The command line cannot be understood. */
  usage: 2,
  notFound: 3,
  /** No key, a wrong key, or one that may not. */
  refused: 4,
  /** Nobody answers, or the service is too busy; the same command may succeed later. */
  unavailable: 5,
  deadline: 124,
  interrupted: 130,
} as const;

/** The exit code that an error stands for. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  if (!(error instanceof SignetError)) return exitCodes.failed;
  switch (error.code) {
    case status.NOT_FOUND:
      return exitCodes.notFound;
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return exitCodes.refused;
    case status.UNAVAILABLE:
    case status.RESOURCE_EXHAUSTED:
      return exitCodes.unavailable;
    case status.DEADLINE_EXCEEDED:
      return exitCodes.deadline;
    case status.CANCELLED:
      return exitCodes.interrupted;
    default:
      return exitCodes.failed;
  }
}
