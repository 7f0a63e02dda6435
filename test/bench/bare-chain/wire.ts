import { randomUUID } from 'node:crypto';
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

const asItIs = (bytes: Buffer): Buffer => bytes;
const method = (path: string, streams: boolean) => ({
  path,
  requestStream: streams,
  responseStream: streams,
  requestSerialize: asItIs,
  requestDeserialize: asItIs,
  responseSerialize: asItIs,
  responseDeserialize: asItIs,
});

/** What a middle serves: one unary call that carries JSON. */
export const RUN_PATH = '/bare.Chain/Run';
/** The service of `RUN_PATH`. */
export const runService = { run: method(RUN_PATH, false) } satisfies ServiceDefinition;

/** What an engine serves: one stream whose frames are JSON with an `id`. */
export const SESSION_PATH = '/bare.Engine/Session';
/** The service of `SESSION_PATH`. */
export const sessionService = { session: method(SESSION_PATH, true) } satisfies ServiceDefinition;

/** Serves on a free port of the loopback address; gives `host:port`. */
export async function serve(service: ServiceDefinition, handlers: UntypedServiceImplementation): Promise<string> {
  const server = new Server({ 'grpc.max_concurrent_streams': 4096 });
  server.addService(service, handlers);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return `127.0.0.1:${port}`;
}

/** Gives a function that makes one unary call with bytes. */
export function createRunCaller(address: string): (body: Buffer) => Promise<Buffer> {
  const client = new Client(address, credentials.createInsecure());
  return (body) =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(RUN_PATH, asItIs, asItIs, body, (error, reply) =>
        error || reply === undefined ? reject(error ?? new Error('no reply')) : resolve(reply),
      );
    });
}

type Frame = { id: string; inputs?: unknown; outputs?: unknown };

/** Gives a function that sends inputs as a frame on one open stream and waits for the frame that answers it. */
export function createSessionCaller(address: string): (inputs: unknown) => Promise<unknown> {
  const client = new Client(address, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest(SESSION_PATH, asItIs, asItIs);
  const waiting = new Map<string, (outputs: unknown) => void>();
  stream.on('data', (bytes: Buffer) => {
    const { id, outputs } = JSON.parse(bytes.toString()) as Frame;
    waiting.get(id)?.(outputs);
    waiting.delete(id);
  });
  stream.on('error', () => process.exit(1));
  return (inputs) =>
    new Promise((resolve) => {
      const id = randomUUID();
      waiting.set(id, resolve);
      stream.write(Buffer.from(JSON.stringify({ id, inputs } satisfies Frame)));
    });
}
