import { connect, constants } from 'node:http2';

/** Whether a gRPC server at `host:port` says SERVING of itself; false when it does not answer within `timeoutMs`. */
export function checkHealth(address: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    // Without a gRPC library, whose loading costs more than the question.
    const session = connect(`http://${address}`);
    const finish = (isServing: boolean): void => {
      clearTimeout(timer);
      session.destroy();
      resolve(isServing);
    };
    const timer = setTimeout(finish, timeoutMs, false);
    session.on('error', () => finish(false));
    const call = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
      [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
      [constants.HTTP2_HEADER_TE]: 'trailers',
    });
    const parts: Buffer[] = [];
    call.on('data', (part: Buffer) => parts.push(part));
    call.on('error', () => finish(false));
    call.on('close', () => finish(Buffer.concat(parts).equals(serving)));
    // An empty request: uncompressed, of length 0.
    call.end(Buffer.alloc(5));
  });
}

// Uncompressed, two bytes long: field 1 is 1.
const serving = Buffer.from([0, 0, 0, 0, 2, 0x08, 0x01]);

if (import.meta.main) process.exitCode = (await checkHealth(process.argv[2] ?? '', 4_000)) ? 0 : 1;
