import { Client, credentials, type MethodDefinition, type ServiceError } from '@grpc/grpc-js';
import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { fromServiceError } from '@signet/kit/grpc/status.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import type { ExecutionEvent } from '@signet/proto/gen/signet/v1/execution.ts';
import { ProgramServiceService } from '@signet/proto/gen/signet/v1/program_service.ts';
import { RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loadContract } from '../contract/public-methods.ts';
import { call, metadataOf } from '../test-support/grpc-call.ts';
import { type GatewayRig, rigKeys, sampleProgram, sampleResult, startRig } from '../test-support/owners.ts';

let rig: GatewayRig;
let client: Client;
beforeAll(async () => {
  rig = await startRig();
  client = new Client(rig.grpc, credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await rig.close();
});
beforeEach(() => rig.reset());

const getProgram = ProgramServiceService.getProgram;
const refusal = async (work: Promise<unknown>): Promise<AppError> =>
  work.then(
    () => Promise.reject(new Error('was not refused')),
    (error: ServiceError) => fromServiceError(error, 'gateway'),
  );

describe('the gRPC door', () => {
  test.each(loadContract().methods.map((method) => [method.path, method] as const))(
    'forwards %s',
    async (path, method) => {
      const identity = (bytes: Buffer): Buffer => bytes;
      if (method.takesStream) {
        const stream = client.makeBidiStreamRequest(path, identity, identity, metadataOf({}));
        stream.end();
        for await (const _ of stream);
      } else if (method.streams) {
        const stream = client.makeServerStreamRequest(path, identity, identity, Buffer.alloc(0), metadataOf({}));
        for await (const _ of stream);
      } else {
        await call(
          client,
          {
            path,
            requestStream: false,
            responseStream: false,
            requestSerialize: identity,
            requestDeserialize: identity,
            responseSerialize: identity,
            responseDeserialize: identity,
          },
          Buffer.alloc(0),
        ).answer;
      }
      expect(rig.seen.map((one) => one.method)).toEqual([method.name]);
    },
  );

  test('passes bytes it does not understand on as they are', async () => {
    const unknownField = Buffer.from([0xf8, 0x07, 0x2a]);
    const method = {
      ...getProgram,
      requestSerialize: () =>
        Buffer.concat([
          Buffer.from(getProgram.requestSerialize({ program: 'p', includeArchived: false })),
          unknownField,
        ]),
    };
    rig.answer('GetProgram', (request: { program: string }) => sampleProgram({ id: request.program }));
    await expect(call(client, method, { program: 'p', includeArchived: false }).answer).resolves.toMatchObject({
      id: 'p',
    });
  });

  test('tells the place of a new resource, and keeps HTTP’s words to itself', async () => {
    rig.answer('GetProgram', (_request, ctx) => {
      ctx.reply('signet-http-status', '201');
      ctx.reply('location', '/v1/programs/1');
      return sampleProgram();
    });
    const { answer, headers } = call(client, getProgram, { program: 'p', includeArchived: false });
    await answer;
    expect(headers()?.get('location')).toEqual(['/v1/programs/1']);
    expect(headers()?.get('signet-http-status')).toEqual([]);
  });

  test('passes an owner’s refusal on with all its details', async () => {
    rig.answer('GetProgram', () => {
      throw invalidField('program', 'is odd');
    });
    const error = await refusal(call(client, getProgram, { program: 'p', includeArchived: false }).answer);
    expect(error).toMatchObject({
      reason: 'INVALID_REQUEST',
      fieldViolations: [{ field: 'program', description: 'is odd' }],
    });
  });

  test('passes deadline, prefer, signet-payload and trace on, and nothing that only we may say', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const deadline = Date.now() + 5000;
    const metadata = {
      prefer: 'respond-async',
      'signet-payload': 'json',
      traceparent,
      'signet-principal': 'WyJrIiwibiIsImFkbWluIl0',
      'x-other': 'x',
    };
    await call(
      client,
      getProgram,
      { program: 'p', includeArchived: false },
      { key: rigKeys.viewer, metadata, deadline },
    ).answer;
    const { ctx } = rig.seen[0]!;
    expect(ctx.principal?.role).toBe('viewer');
    expect([ctx.header('prefer'), ctx.header('signet-payload'), ctx.header('x-other')]).toEqual([
      'respond-async',
      'json',
      undefined,
    ]);
    expect(ctx.header('traceparent')).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)/);
    expect(Math.abs(ctx.deadlineMs! - deadline)).toBeLessThan(500);
  });

  test('bounds a call whose caller set no deadline', async () => {
    await call(client, getProgram, { program: 'p', includeArchived: false }).answer;
    expect(rig.seen[0]!.ctx.deadlineMs! - Date.now()).toBeGreaterThan(50_000);
    expect(rig.seen[0]!.ctx.deadlineMs! - Date.now()).toBeLessThan(61_000);
  });

  test('ends the owner’s call when the caller cancels or is late', async () => {
    const reasons: string[] = [];
    rig.answer(
      'GetProgram',
      (_request, ctx) =>
        new Promise((_resolve, reject) => {
          ctx.signal.addEventListener('abort', () => {
            reasons.push((ctx.signal.reason as AppError).reason);
            reject(ctx.signal.reason);
          });
        }),
    );
    const late = call(client, getProgram, { program: 'p', includeArchived: false }, { deadline: Date.now() + 200 });
    expect((await refusal(late.answer)).reason).toBe('DEADLINE_EXCEEDED');
    const started = client.makeUnaryRequest(
      getProgram.path,
      getProgram.requestSerialize,
      getProgram.responseDeserialize,
      { program: 'p', includeArchived: false },
      metadataOf({}),
      () => {},
    );
    await eventually(() => expect(rig.seen).toHaveLength(2));
    started.cancel();
    await eventually(() =>
      expect(reasons).toEqual([expect.stringMatching(/DEADLINE_EXCEEDED|CANCELLED/), 'CANCELLED']),
    );
  });

  test('streams events and the status that ends them', async () => {
    rig.answer('StreamProgram', async function* () {
      yield { sequence: 1n, executionId: 'x', event: { $case: 'result', value: sampleResult('{}') } };
      throw new AppError('LM_UNAVAILABLE', 'away');
    });
    const method = RuntimeServiceService.streamProgram;
    const request = { program: 'p', inputs: undefined, executionOptions: undefined, labels: {}, metadata: undefined };
    const stream = client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadataOf({}),
    );
    const events: ExecutionEvent[] = [];
    stream.on('data', (event: ExecutionEvent) => events.push(event));
    const error = await new Promise<ServiceError>((resolve) => stream.on('error', (one: ServiceError) => resolve(one)));
    expect(events).toHaveLength(1);
    expect(fromServiceError(error, 'gateway').reason).toBe('LM_UNAVAILABLE');
  });

  test('ends the owner’s stream when the reader cancels', async () => {
    let aborted = false;
    rig.answer('StreamProgram', async function* (_request: never, ctx: CallContext) {
      yield { sequence: 1n, executionId: 'x', event: undefined };
      await new Promise<void>((resolve) => {
        ctx.signal.addEventListener('abort', () => resolve());
      });
      aborted = true;
    });
    const method = RuntimeServiceService.streamProgram;
    const request = { program: 'p', inputs: undefined, executionOptions: undefined, labels: {}, metadata: undefined };
    const stream = client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadataOf({}),
    );
    stream.on('error', () => {});
    await new Promise((resolve) => stream.once('data', resolve));
    stream.cancel();
    await eventually(() => expect(aborted).toBe(true));
  });

  test('refuses a message of more than 4 MiB by our own words', async () => {
    const program = 'x'.repeat(4 * 1024 * 1024);
    const error = await refusal(call(client, getProgram, { program, includeArchived: false }).answer);
    expect(error).toMatchObject({ reason: 'PAYLOAD_TOO_LARGE', metadata: { limit_bytes: '4194304' } });
    expect(rig.seen).toEqual([]);
  });

  test('DOM-05 refuses callers without a key, with a wrong one, with an expired one, with too small a role', async () => {
    const reasonOf = async (key: string | null, method: MethodDefinition<never, unknown> = getProgram as never) =>
      (await refusal(call(client, method, { program: 'p', name: 'n' } as never, { key }).answer)).reason;
    expect(await reasonOf(null)).toBe('KEY_MISSING');
    expect(await reasonOf('sgn_wrong_0123456789012345678901')).toBe('KEY_INVALID');
    expect(await reasonOf(rigKeys.expired)).toBe('KEY_EXPIRED');
    expect(await reasonOf(rigKeys.runner, ProgramServiceService.deleteProgram as never)).toBe('ROLE_REQUIRED');
    expect(rig.seen).toEqual([]);
  });
});
