import { ROOT_CONTEXT } from '@opentelemetry/api';
import {
  AddExamplesRequest,
  DatasetInternalServiceService as Service,
} from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import { ImportResult } from '@signet/proto/gen/signet/v1/dataset.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AppError } from '../error/app-error.ts';
import { createLogger } from '../log/logger.ts';
import { createTelemetry } from '../telemetry/telemetry.ts';
import { noTelemetry } from '../telemetry/telemetry-config.ts';
import { createGrpcPeer, type GrpcPeer, type OutgoingContext } from './client.ts';
import { createGrpcServer, type GrpcServer, type Handlers } from './server.ts';

const telemetry = createTelemetry('kit-test', noTelemetry);
const log = createLogger('kit-test', 'silent');
let server: GrpcServer;
let peer: GrpcPeer;
let serve: Handlers<typeof Service>['addExamples'];

const never = async (): Promise<never> => {
  throw new Error('not asked');
};

beforeAll(async () => {
  server = createGrpcServer({ telemetry, log, internalToken: 'inner' });
  server.add(Service, {
    resolveDataset: never,
    ensureDataset: never,
    async *readExamples() {},
    addExamples: (requests, ctx) => serve(requests, ctx),
  });
  const address = await server.listen({ host: '127.0.0.1', port: 0 });
  peer = createGrpcPeer({ telemetry, internalToken: 'inner', peer: 'registry', address });
});
afterAll(async () => {
  peer.close();
  await server.close(1000);
});

const context = (patch: Partial<OutgoingContext> = {}): OutgoingContext => ({
  signal: new AbortController().signal,
  deadlineMs: Date.now() + 10_000,
  trace: ROOT_CONTEXT,
  ...patch,
});
const message = (note = '') => AddExamplesRequest.fromPartial({ note });
const counted = (rowCount: number) => ImportResult.fromPartial({ rowCount: BigInt(rowCount) });
const count = async (requests: AsyncIterable<unknown>): Promise<number> => {
  let found = 0;
  for await (const _request of requests) found++;
  return found;
};

it('sends requests in order and answers once all are there', async () => {
  const notes: string[] = [];
  serve = async (requests) => {
    for await (const { note } of requests) notes.push(note);
    return counted(notes.length);
  };
  async function* requests() {
    for (let at = 0; at < 500; at++) yield message(String(at));
  }
  expect((await peer.upload(Service.addExamples, requests(), context())).rowCount).toBe(500n);
  expect(notes).toEqual(Array.from({ length: 500 }, (_, at) => String(at)));
  async function* none() {}
  serve = async (all) => counted(await count(all));
  expect((await peer.upload(Service.addExamples, none(), context())).rowCount).toBe(0n);
});

it('asks for no more than the other side reads', async () => {
  let given = 0;
  let go = (): void => {};
  const gone = new Promise<void>((resolve) => {
    go = resolve;
  });
  serve = async (requests) => {
    await gone;
    return counted(await count(requests));
  };
  async function* requests() {
    for (; given < 200; given++) yield message('x'.repeat(256 * 1024));
  }
  const call = peer.upload(Service.addExamples, requests(), context());
  await expect.poll(() => given).toBeGreaterThan(0);
  const before = given;
  expect(before).toBeLessThan(100);
  go();
  expect((await call).rowCount).toBe(200n);
});

it('tells the caller what the requests themselves failed with, and the other side that they are not whole', async () => {
  const endings: unknown[] = [];
  serve = async (requests) => {
    try {
      return counted(await count(requests));
    } catch (error) {
      endings.push(error);
      throw error;
    }
  };
  async function* requests() {
    yield message();
    throw new Error('the source broke');
  }
  await expect(peer.upload(Service.addExamples, requests(), context())).rejects.toThrow('the source broke');
  await expect.poll(() => endings).toMatchObject([{ reason: 'CANCELLED' }]);
});

it('leaves the requests when the other side refuses early, and when the caller goes away', async () => {
  serve = async () => {
    throw new AppError('DATASET_NOT_FOUND', 'no');
  };
  let isLeft = false;
  async function* endless() {
    try {
      for (;;) {
        yield message('x'.repeat(64 * 1024));
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      isLeft = true;
    }
  }
  await expect(peer.upload(Service.addExamples, endless(), context())).rejects.toMatchObject({
    reason: 'DATASET_NOT_FOUND',
  });
  await expect.poll(() => isLeft).toBe(true);
  isLeft = false;
  serve = async (requests) => counted(await count(requests));
  const leaving = new AbortController();
  const call = peer.upload(Service.addExamples, endless(), context({ signal: leaving.signal }));
  setImmediate(() => leaving.abort(new AppError('CANCELLED', 'enough')));
  await expect(call).rejects.toMatchObject({ reason: 'CANCELLED', message: 'enough' });
  await expect.poll(() => isLeft).toBe(true);
});
