import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { ExecutionEvent } from '@signet/proto/gen/signet/v1/execution.ts';
import type { Caller, CallOutcome, LoadJob } from './job.ts';

const CALL_MAX_MS = 60_000;
const asItIs = (bytes: Buffer): Buffer => bytes;

/** Opens one channel to a gRPC door; requests go out as the bytes that the job carries. */
export function createGrpcCaller(job: LoadJob): Caller {
  const client = new Client(job.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(job.headers)) metadata.set(name, value);
  const body = Buffer.from(job.body, 'base64');
  const deadline = () => ({ deadline: Date.now() + CALL_MAX_MS });
  const unary = (): Promise<CallOutcome> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(job.path, asItIs, asItIs, body, metadata, deadline(), (error) =>
        error === null ? resolve({}) : reject(error),
      );
    });
  const stream = async (): Promise<CallOutcome> => {
    const begun = performance.now();
    const call = client.makeServerStreamRequest(job.path, asItIs, asItIs, body, metadata, deadline());
    return readEvents(call, begun);
  };
  return { call: job.kind === 'stream' ? stream : unary, close: async () => client.close() };
}

async function readEvents(call: AsyncIterable<Buffer>, begun: number): Promise<CallOutcome> {
  let firstTokenMs: number | undefined;
  let tokens = 0;
  let finished = false;
  for await (const bytes of call) {
    const { event } = ExecutionEvent.decode(bytes);
    if (event?.$case === 'token') {
      firstTokenMs ??= performance.now() - begun;
      tokens++;
    }
    finished ||= event?.$case === 'result';
  }
  if (!finished) throw new Error('the stream ended without a result');
  if (firstTokenMs === undefined) throw new Error('the stream carried no text');
  return { firstTokenMs, tokens };
}
