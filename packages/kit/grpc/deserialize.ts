import { AppError } from '../error/app-error.ts';

/** The largest message that is taken, in bytes. */
export const messageLimitBytes = 4 * 1024 * 1024;

/** Stands in for a request that could not be read, so that the refusal comes out of the one door for errors. */
export class Refused {
  readonly error: AppError;

  constructor(error: AppError) {
    this.error = error;
  }
}

/** True if a request could not be read. */
export function isRefused(request: unknown): request is Refused {
  return request instanceof Refused;
}

/** The error for a message of too many bytes. */
export function tooLarge(sizeBytes: number): AppError {
  return new AppError(
    'PAYLOAD_TOO_LARGE',
    `The message has ${sizeBytes} bytes; at most ${messageLimitBytes} are taken`,
    {
      metadata: { size_bytes: String(sizeBytes), limit_bytes: String(messageLimitBytes) },
    },
  );
}

/** Reads a request with our limit and our error; grpc-js would answer INTERNAL. */
export function checkedDeserialize<T>(deserialize: (bytes: Buffer) => T): (bytes: Buffer) => T | Refused {
  return (bytes) => {
    if (bytes.length > messageLimitBytes) return new Refused(tooLarge(bytes.length));
    try {
      return deserialize(bytes);
    } catch (cause) {
      return new Refused(new AppError('INVALID_REQUEST', 'The request is not a message of this method', { cause }));
    }
  };
}
