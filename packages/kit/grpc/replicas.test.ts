import { createServer, type Server as TcpServer } from 'node:net';
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServiceError,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { checkHealth } from '../process/check-health.ts';
import { eventually } from '../testing/eventually.ts';
import { replicaOptions, replicaTarget, resolveReplicas, wasNeverSent } from './replicas.ts';

const path = '/test.Test/Who';
const asText = (text: string): Buffer => Buffer.from(text);
const fromBytes = (bytes: Buffer): string => bytes.toString();
let calls = 0;
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(name: string, address = '127.0.0.1:0', delayMs = 0): Promise<{ address: string; server: Server }> {
  const server = new Server();
  const method = { path, requestStream: false, responseStream: false } as const;
  const codec = {
    requestSerialize: asText,
    requestDeserialize: fromBytes,
    responseSerialize: asText,
    responseDeserialize: fromBytes,
  };
  const who = (_call: unknown, reply: (error: null, text: string) => void): void => {
    calls += 1;
    setTimeout(() => reply(null, name), delayMs);
  };
  server.addService({ who: { ...method, ...codec } }, { who } as UntypedServiceImplementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  closers.push(() => server.forceShutdown());
  return { address: `127.0.0.1:${port}`, server };
}

function open(addresses: string): () => Promise<string> {
  const client = new Client(replicaTarget(addresses), credentials.createInsecure(), replicaOptions);
  closers.push(() => client.close());
  return () =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        asText,
        fromBytes,
        'who are you',
        { deadline: Date.now() + 5_000 },
        (error, text) => (error ? reject(error) : resolve(text ?? '')),
      );
    });
}

it('shares calls among all replicas', async () => {
  const [one, two] = [await serve('one'), await serve('two')];
  const ask = open(`${one.address},${two.address}`);
  await eventually(async () => expect(new Set(await Promise.all([ask(), ask(), ask()])).size).toBe(2));
  const answers = await Promise.all(Array.from({ length: 20 }, ask));
  expect(answers.filter((name) => name === 'one')).toHaveLength(10);
});

it('loses no call when a replica drains while it is called, and meets it again', async () => {
  const [one, two] = [await serve('one', undefined, 5), await serve('two', undefined, 5)];
  const ask = open(`${one.address},${two.address}`);
  let isOver = false;
  const failures: unknown[] = [];
  const answers: string[] = [];
  const callers = Array.from({ length: 8 }, async () => {
    while (!isOver && failures.length === 0)
      await ask().then(
        (name) => answers.push(name),
        (error) => failures.push(error),
      );
  });
  await eventually(() => expect(answers.length).toBeGreaterThan(100));
  await new Promise<void>((resolve) => one.server.tryShutdown(() => resolve()));
  const from = answers.length;
  await eventually(() => expect(answers.length).toBeGreaterThan(from + 100));
  expect(answers.slice(from + 20)).not.toContain('one');
  await serve('one again', one.address);
  await eventually(() => expect(answers).toContain('one again'));
  isOver = true;
  await Promise.all(callers);
  expect(failures).toEqual([]);
});

it('knows a call that was never sent from one that broke', async () => {
  const refused = await open('127.0.0.1:1')().catch((error: ServiceError) => error);
  expect(wasNeverSent(refused as ServiceError)).toBe(true);
  const { server, address } = await serve('slow', undefined, 2_000);
  const ask = open(address);
  calls = 0;
  const broken = ask().catch((error: ServiceError) => error);
  await eventually(() => expect(calls).toBe(1));
  server.forceShutdown();
  expect(wasNeverSent((await broken) as ServiceError)).toBe(false);
});

it('finds every address behind names and numbers, once and in order', async () => {
  const found = await resolveReplicas([
    { host: '127.0.0.2', port: 5 },
    { host: '[::1]', port: 4 },
    { host: '127.0.0.1', port: 5 },
    { host: '127.0.0.2', port: 5 },
    { host: 'no-such-name.invalid', port: 5 },
  ]);
  expect(found).toEqual([
    { host: '127.0.0.1', port: 5 },
    { host: '127.0.0.2', port: 5 },
    { host: '::1', port: 4 },
  ]);
  const local = await resolveReplicas([{ host: 'localhost', port: 7 }]);
  expect(local.length).toBeGreaterThan(0);
});

it('says of what does not answer, or is no gRPC server, that it does not serve', async () => {
  const { address } = await serve('without health');
  const silent = await new Promise<TcpServer>((resolve) => {
    const server = createServer(() => {});
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
  closers.push(() => silent.close());
  const { port } = silent.address() as { port: number };
  for (const other of [address, '127.0.0.1:1', `127.0.0.1:${port}`]) expect(await checkHealth(other, 300)).toBe(false);
});
