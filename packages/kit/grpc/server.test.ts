import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { RegistryInternalServiceService as Service } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CallContext, Principal } from '../call-context.ts';
import { AppError } from '../error/app-error.ts';
import { createLogger } from '../log/logger.ts';
import { createTelemetry } from '../telemetry/telemetry.ts';
import { noTelemetry } from '../telemetry/telemetry-config.ts';
import { createGrpcPeer, type GrpcPeer, type OutgoingContext } from './client.ts';
import { createGrpcServer, type GrpcServer, type Handlers } from './server.ts';

const telemetry = createTelemetry('kit-test', noTelemetry);
const log = createLogger('kit-test', 'silent');
const principal: Principal = { keyId: 'key-1', name: 'müller', role: 'editor' };
let server: GrpcServer;
let peer: GrpcPeer;
let address: string;
let seen: CallContext | undefined;

const refuse = async (): Promise<never> => {
  throw new Error('secret detail');
};

const handlers: Handlers<typeof Service> = {
  resolveProgram: async ({ program }) => {
    throw new AppError('PROGRAM_NOT_FOUND', `Program ${program} does not exist`, {
      metadata: { resource: program },
      fieldViolations: [{ field: 'program', reason: 'UNKNOWN', description: 'does not exist' }],
      retryAfterMs: 1500,
    });
  },
  async *watchCatalog({ afterRevision }, ctx) {
    seen = ctx;
    for (let revision = afterRevision; !ctx.signal.aborted; revision++) {
      yield { revision, change: undefined };
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  },
  resolveLanguageModel: refuse,
  beginInitialize: refuse,
  finishInitialize: refuse,
  renewTransition: (_, ctx) => {
    seen = ctx;
    return new Promise((_resolve, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)));
  },
  putPreparation: refuse,
  setServingVersion: refuse,
  reportModules: refuse,
  resolveModule: refuse,
  ensureModuleProgram: refuse,
  reportBackend: refuse,
  getSignatureUsers: refuse,
  ensureQuickProgram: refuse,
  resolveOptimizer: refuse,
  beginOptimize: refuse,
  renewOptimizations: refuse,
  addOptimizedVersion: refuse,
  finishOptimize: refuse,
  authenticateKey: async ({ key }, ctx) => {
    seen = ctx;
    return { keyId: key, name: '', role: 1, expireTime: undefined };
  },
};

beforeAll(async () => {
  server = createGrpcServer({ telemetry, log, internalToken: 'inner' });
  server.add(Service, handlers);
  address = await server.listen({ host: '127.0.0.1', port: 0 });
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

it('carries principal and deadline to the other process', async () => {
  const deadlineMs = Date.now() + 5000;
  await peer.unary(Service.authenticateKey, { key: 'k' }, context({ principal, deadlineMs }));
  expect(seen?.principal).toEqual(principal);
  expect(Math.abs(seen!.deadlineMs! - deadlineMs)).toBeLessThan(500);
});

it('gives an error back as it was thrown, with metadata, violations and retry', async () => {
  const call = peer.unary(Service.resolveProgram, { program: 'qa', version: 0 }, context());
  await expect(call).rejects.toMatchObject({
    reason: 'PROGRAM_NOT_FOUND',
    message: 'Program qa does not exist',
    metadata: { resource: 'qa' },
    fieldViolations: [{ field: 'program', reason: 'UNKNOWN', description: 'does not exist' }],
    retryAfterMs: 1500,
  });
});

it('ERR-03 hides what an unexpected error says and gives an error id', async () => {
  const call = peer.unary(Service.beginInitialize, { program: 'qa' }, context());
  await expect(call).rejects.toMatchObject({
    reason: 'INTERNAL',
    message: 'An unexpected error occurred',
    metadata: { error_id: expect.stringMatching(/^[0-9a-f-]{36}$/) },
  });
});

it('ends a call at its deadline and tells the handler why', async () => {
  const call = peer.unary(
    Service.renewTransition,
    { programId: '', fencingToken: 0n },
    context({ deadlineMs: Date.now() + 150 }),
  );
  await expect(call).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
});

it('ends a call when the caller goes away and tells the handler', async () => {
  const controller = new AbortController();
  seen = undefined;
  const call = peer.unary(
    Service.renewTransition,
    { programId: '', fencingToken: 0n },
    context({ signal: controller.signal }),
  );
  const failed = expect(call).rejects.toMatchObject({ reason: 'CANCELLED' });
  await expect.poll(() => seen).toBeDefined();
  controller.abort(new AppError('CANCELLED', 'enough'));
  await failed;
  await expect.poll(() => seen?.signal.aborted).toBe(true);
});

it('ends a stream at the server when the reader leaves it', async () => {
  const revisions: bigint[] = [];
  for await (const { revision } of peer.stream(Service.watchCatalog, { afterRevision: 5n }, context())) {
    revisions.push(revision);
    if (revisions.length === 3) break;
  }
  expect(revisions).toEqual([5n, 6n, 7n]);
  await expect.poll(() => seen?.signal.aborted).toBe(true);
});

it('says which process does not answer', async () => {
  const nobody = createGrpcPeer({ telemetry, internalToken: 'inner', peer: 'registry', address: '127.0.0.1:1' });
  await expect(nobody.unary(Service.authenticateKey, { key: '' }, context())).rejects.toMatchObject({
    reason: 'SERVICE_UNAVAILABLE',
    message: 'The registry does not answer',
    retryAfterMs: 1000,
  });
  nobody.close();
});

const raw = (bytes: Buffer, token: string): Promise<number | undefined> =>
  new Promise((resolve) => {
    const client = new Client(address, credentials.createInsecure(), {
      'grpc.max_send_message_length': 32 * 1024 * 1024,
    });
    const metadata = new Metadata();
    metadata.set('authorization', token);
    const identity = (value: Buffer): Buffer => value;
    client.makeUnaryRequest(
      Service.authenticateKey.path,
      identity,
      identity,
      bytes,
      metadata,
      {},
      (error: ServiceError | null) => {
        client.close();
        resolve(error?.code ?? status.OK);
      },
    );
  });

it('lets nobody in without the internal token', async () => {
  expect(await raw(Buffer.alloc(0), 'Bearer wrong')).toBe(status.UNAUTHENTICATED);
  expect(await raw(Buffer.alloc(0), '')).toBe(status.UNAUTHENTICATED);
  expect(await raw(Buffer.alloc(0), 'Bearer inner')).toBe(status.OK);
});

it('refuses bytes that are no message, and messages of more than 4 MiB', async () => {
  expect(await raw(Buffer.from([0xff, 0xff, 0xff]), 'Bearer inner')).toBe(status.INVALID_ARGUMENT);
  const large = Buffer.concat([Buffer.from([0x0a, 0x80, 0x80, 0xc0, 0x02]), Buffer.alloc(5 * 1024 * 1024, 97)]);
  expect(await raw(large, 'Bearer inner')).toBe(status.INVALID_ARGUMENT);
});

it('counts its calls by method and reason', async () => {
  await raw(Buffer.alloc(0), 'Bearer inner');
  expect(await telemetry.metricsText()).toMatch(
    /rpc_server_call_duration_count\{rpc_system_name="grpc",rpc_method="signet\.internal\.v1\.RegistryInternalService\/AuthenticateKey",rpc_response_status_code="OK"/,
  );
});
