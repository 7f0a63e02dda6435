import { type Client, credentials, type GrpcObject, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { protoPath } from 'grpc-health-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoPython } from '../support/python.ts';
import { type ProcessName, type Stack, startStack } from '../support/stack.ts';

type Reply = { readonly status?: string; readonly code?: number };
type HealthClient = Client & {
  check(request: { service: string }, done: (error: { code: number } | null, reply?: { status: string }) => void): void;
};

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the sidecar's health is not asked for: ${missing}`);

// What an orchestrator's probe does: the standard service, without a key and without the inner token.
describe('the standard health service', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ engines: missing === undefined ? 'python' : 'mock' });
  });
  afterAll(() => stack?.close());

  it.each(['gateway', 'registry', 'executor'] as const)('answers SERVING at the %s', async (name) => {
    expect(await check(addressOf(name), '')).toEqual({ status: 'SERVING' });
  });

  it.skipIf(missing !== undefined)('answers SERVING at the sidecar', async () => {
    await eventually(async () => expect(await check(addressOf('sidecar'), '')).toEqual({ status: 'SERVING' }));
  });

  it.each(['gateway', 'registry', 'executor'] as const)('does not know a service that the %s has not', async (name) => {
    expect(await check(addressOf(name), 'signet.v1.NobodyService')).toEqual({ code: 5 });
  });

  it('is NOT_SERVING at a gateway whose owner is gone, and SERVING when it is back', { timeout: 60_000 }, async () => {
    await stack.kill('registry');
    await eventually(
      async () => expect(await check(addressOf('gateway'), '')).toEqual({ status: 'NOT_SERVING' }),
      20_000,
    );
    await stack.restart('registry');
    await eventually(async () => expect(await check(addressOf('gateway'), '')).toEqual({ status: 'SERVING' }), 20_000);
  });

  function addressOf(name: ProcessName): string {
    return name === 'gateway' ? stack.grpcAddress : stack.address(name);
  }
});

function check(address: string, service: string): Promise<Reply> {
  const loaded = loadPackageDefinition(loadSync(protoPath, { enums: String }));
  const found = ['grpc', 'health', 'v1', 'Health'].reduce<unknown>(
    (level, name) => (level as GrpcObject)[name],
    loaded,
  );
  const Health = found as new (target: string, credential: unknown) => HealthClient;
  const client = new Health(address, credentials.createInsecure());
  return new Promise((resolve) => {
    client.check({ service }, (error, reply) => {
      client.close();
      resolve(error === null ? { status: reply?.status ?? '' } : { code: error.code });
    });
  });
}
