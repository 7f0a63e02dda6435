import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { ErrorInfo, RetryInfo } from '@signet/proto/gen/google/rpc/error_details.ts';
import { Status } from '@signet/proto/gen/google/rpc/status.ts';

/** How a scripted service fails once: a code, and what its details say. */
export type Failure = {
  readonly code: status;
  readonly reason?: string;
  readonly retryAfterMs?: number;
  readonly executionId?: string;
};

/** One call as the service saw it. */
export type SeenCall = {
  readonly request: { readonly [field: string]: unknown };
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly deadlineMs: number;
  readonly atMs: number;
  cancelled: boolean;
};

/** What one call is answered with: a failure, or messages (one for a unary method) and then an end, a failure or nothing. */
export type Answer = Failure | { readonly messages: readonly object[]; readonly ending?: 'hang' | Failure };

/** A gRPC server of one generated service that does as told. */
export type ScriptedService = { readonly address: string; readonly seen: SeenCall[]; close(): void };

/** Starts a server on the loopback address whose methods give the next answer each. */
export async function startScriptedService(
  service: object,
  answers: Answer[],
  credentials = ServerCredentials.createInsecure(),
): Promise<ScriptedService> {
  const seen: SeenCall[] = [];
  const server = new Server();
  const next = (): Answer => answers.shift() ?? { code: status.INTERNAL, reason: 'INTERNAL' };
  const handlers = Object.entries(service).map(([name, method]) => [
    name,
    (call: ServerWritableStream<SeenCall['request'], object>, done?: sendUnaryData<object>) => {
      const one: SeenCall = {
        request: call.request,
        metadata: call.metadata.getMap(),
        deadlineMs: Number(call.getDeadline()),
        atMs: performance.now(),
        cancelled: false,
      };
      seen.push(one);
      call.on('cancelled', () => {
        one.cancelled = true;
      });
      const base = method.responseDeserialize(Buffer.alloc(0));
      if (done === undefined) stream(call, base, next());
      else unary(done, base, next());
    },
  ]);
  server.addService(service as never, Object.fromEntries(handlers));
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, found) => (error === null ? resolve(found) : reject(error))),
  );
  return { address: `localhost:${port}`, seen, close: () => server.forceShutdown() };
}

function unary(done: sendUnaryData<object>, base: object, answer: Answer): void {
  if ('code' in answer) done(failed(answer), null);
  else done(null, { ...base, ...answer.messages[0] });
}

function stream(call: ServerWritableStream<object, object>, base: object, answer: Answer): void {
  const messages = 'code' in answer ? [] : answer.messages;
  for (const message of messages) call.write({ ...base, ...message });
  const end = 'code' in answer ? answer : answer.ending;
  if (end === undefined) call.end();
  else if (end !== 'hang') call.emit('error', failed(end));
}

function failed(failure: Failure): { code: status; details: string; metadata: Metadata } {
  const details = [
    {
      typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo',
      value: Buffer.from(
        ErrorInfo.encode({
          reason: failure.reason ?? '',
          domain: 'signet.dev',
          metadata: failure.executionId === undefined ? {} : { executionId: failure.executionId },
        }).finish(),
      ),
    },
  ];
  if (failure.retryAfterMs !== undefined) {
    const retryDelay = { seconds: 0n, nanos: failure.retryAfterMs * 1_000_000 };
    details.push({
      typeUrl: 'type.googleapis.com/google.rpc.RetryInfo',
      value: Buffer.from(RetryInfo.encode({ retryDelay }).finish()),
    });
  }
  const metadata = new Metadata();
  const packed = Status.encode({ code: failure.code, message: 'scripted', details }).finish();
  metadata.set('grpc-status-details-bin', Buffer.from(packed));
  return { code: failure.code, details: 'scripted', metadata };
}
