import { BadRequest, ErrorInfo } from '@signet/proto/gen/google/rpc/error_details.ts';
import { Status } from '@signet/proto/gen/google/rpc/status.ts';

/** Bytes of a failure's trailers as they travel; clients built on gRPC's C core refuse some calls from here on, all from 16 KiB. */
const trailersBytesMax = 8192;
// `grpc-status`, the names, and what HTTP/2 counts for each entry.
const framesBytes = 256;

/**
 * Cuts a packed google.rpc.Status to what every gRPC client takes, at most 8 KiB as it travels together with its message: the last field
 * violations are left out, and the ErrorInfo says how many as `violations_left_out`. What is small enough is given back as it is.
 */
export function shortDetails(packed: Buffer, message: string): Buffer {
  const room = trailersBytesMax - framesBytes - encodeURI(message.toWellFormed()).length;
  const bytesMax = Math.floor(room / 4) * 3;
  if (packed.length <= bytesMax) return packed;
  const status = Status.decode(packed);
  const count = violationsOf(status).length;
  if (count === 0) return packed;
  // The most that fit: fewer are never longer but for the digits of how many are missing.
  let kept = 0;
  for (let above = count; above - kept > 1; ) {
    const middle = (kept + above) >> 1;
    if (write(status, middle).length <= bytesMax) kept = middle;
    else above = middle;
  }
  return write(status, kept);
}

const isOf = (typeUrl: string, name: string): boolean => typeUrl === `type.googleapis.com/google.rpc.${name}`;

function violationsOf({ details }: Status) {
  const found = details.find(({ typeUrl }) => isOf(typeUrl, 'BadRequest'));
  return found === undefined ? [] : BadRequest.decode(found.value).fieldViolations;
}

function write(status: Status, kept: number): Buffer {
  const violations = violationsOf(status);
  const leftOut = String(violations.length - kept);
  const details = status.details.map((detail) => {
    const { typeUrl } = detail;
    if (isOf(typeUrl, 'BadRequest')) {
      const value = Buffer.from(BadRequest.encode({ fieldViolations: violations.slice(0, kept) }).finish());
      return { typeUrl, value };
    }
    if (!isOf(typeUrl, 'ErrorInfo')) return detail;
    const info = ErrorInfo.decode(detail.value);
    const metadata = { ...info.metadata, violations_left_out: leftOut };
    return { typeUrl, value: Buffer.from(ErrorInfo.encode({ ...info, metadata }).finish()) };
  });
  return Buffer.from(Status.encode({ ...status, details }).finish());
}
