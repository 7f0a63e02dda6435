import { AppError } from '@signet/kit/error/app-error.ts';
import { messageLimitBytes } from '@signet/kit/grpc/deserialize.ts';

/** One line of a body that is not blank. */
export type BodyLine = {
  /** From 1; blank lines count. */
  readonly number: number;
  readonly bytes: Buffer;
};

const newline = 0x0a;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/** Cuts a body into its lines, ended by \n or \r\n; the last may have no end. PAYLOAD_TOO_LARGE for one of more than 4 MiB. */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<BodyLine, void> {
  let number = 0;
  let pieces: Buffer[] = [];
  let sizeBytes = 0;
  const take = (last: Buffer): BodyLine | undefined => {
    number++;
    const whole = pieces.length === 0 ? last : Buffer.concat([...pieces, last]);
    pieces = [];
    sizeBytes = 0;
    const bytes = number === 1 && whole.subarray(0, 3).equals(byteOrderMark) ? whole.subarray(3) : whole;
    return isBlank(bytes) ? undefined : { number, bytes };
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      requireRoom(sizeBytes + end - start, number + 1);
      const line = take(chunk.subarray(start, end));
      if (line !== undefined) yield line;
      start = end + 1;
    }
    if (start === chunk.length) continue;
    pieces.push(chunk.subarray(start));
    sizeBytes += chunk.length - start;
    requireRoom(sizeBytes, number + 1);
  }
  const line = pieces.length === 0 ? undefined : take(noBytes);
  if (line !== undefined) yield line;
}

const noBytes = Buffer.alloc(0);

function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  return true;
}

function requireRoom(sizeBytes: number, line: number): void {
  if (sizeBytes <= messageLimitBytes) return;
  throw new AppError('PAYLOAD_TOO_LARGE', `Line ${line} has more than ${messageLimitBytes} bytes`, {
    metadata: { line: String(line), limit_bytes: String(messageLimitBytes) },
  });
}
