import { ServerCredentials, status } from '@grpc/grpc-js';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionResult, ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import { ExecutionServiceService } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { ProgramServiceService } from '@signet/proto/gen/signet/v1/program_service.ts';
import { RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { SignetClient } from './signet-client.ts';
import type { SignetError } from './signet-error.ts';
import { type Answer, type ScriptedService, startScriptedService } from './test-support/scripted-service.ts';
import { selfSigned } from './test-support/self-signed.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

async function rig(
  definition: object,
  ...answers: Answer[]
): Promise<{ client: SignetClient; service: ScriptedService }> {
  const service = await startScriptedService(definition, answers);
  const client = new SignetClient({ address: service.address, key: 'k'.repeat(32) });
  open.push(client, service);
  return { client, service };
}

const refused = (call: Promise<unknown>): Promise<SignetError> =>
  call.then(
    () => Promise.reject(new Error('it was to fail')),
    (error) => error,
  );
const busy = { code: status.RESOURCE_EXHAUSTED, reason: 'QUEUE_FULL', retryAfterMs: 300 };
const gone = { code: status.UNAVAILABLE, reason: 'SHUTTING_DOWN' };

describe('repeating', () => {
  it('waits as long as the service asks, and repeats a mutation under one request id', async () => {
    const { client, service } = await rig(ProgramServiceService, busy, gone, { messages: [{ slug: 'qa' }] });
    const program = await client.createProgram({ name: 'qa', signatureSpec: 'a -> b' });
    expect(program.slug).toBe('qa');
    expect(service.seen).toHaveLength(3);
    expect(service.seen[1]!.atMs - service.seen[0]!.atMs).toBeGreaterThanOrEqual(299);
    const ids = service.seen.map(({ request }) => request.requestId);
    expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(new Set(ids).size).toBe(1);
    const next = await refused(client.createProgram({ name: 'qa', signatureSpec: 'a -> b' }));
    expect(next.reason).toBe('INTERNAL');
    expect(service.seen[3]!.request.requestId).not.toBe(ids[0]);
  });

  it('gives up after as many repeats as it was told, and makes no request id where there are none', async () => {
    const { client, service } = await rig(ProgramServiceService, gone, gone, gone, gone, gone);
    const tired = await refused(client.services.programs.getProgram({ program: 'qa' }, { retries: 2 }));
    expect([tired.reason, service.seen.length]).toEqual(['SHUTTING_DOWN', 3]);
    await refused(client.programs.archive('qa', { retries: 0 }));
    expect([service.seen.length, service.seen[3]!.request.requestId]).toEqual([4, '']);
  });

  it('does not wait for what would come after the deadline', async () => {
    const { client, service } = await rig(ProgramServiceService, { ...busy, retryAfterMs: 900 }, { messages: [{}] });
    const begun = performance.now();
    const late = await refused(client.programs.archive('qa', { timeoutMs: 700 }));
    expect([late.reason, late.retryAfterMs, service.seen.length]).toEqual(['QUEUE_FULL', 900, 1]);
    expect(performance.now() - begun).toBeLessThan(650);
  });

  it.each([
    ['an execution that failed: that is the answer', { ...gone, reason: 'LM_UNAVAILABLE', executionId: 'x' }],
    ['what would fail again', { code: status.FAILED_PRECONDITION, reason: 'PROGRAM_NOT_READY' }],
    ['what is full and does not say until when', { code: status.RESOURCE_EXHAUSTED, reason: 'PAYLOAD_TOO_LARGE' }],
  ])('does not repeat %s', async (_what, failure) => {
    const { client, service } = await rig(RuntimeServiceService, failure, { messages: [{}] });
    const error = await refused(client.executeProgram('qa', {}));
    expect([error.reason, error.executionId]).toEqual([failure.reason, 'executionId' in failure ? 'x' : undefined]);
    expect(service.seen).toHaveLength(1);
  });

  it('never repeats a streamed run that may have begun, only one that was refused at the door', async () => {
    const limited = { code: status.RESOURCE_EXHAUSTED, reason: 'RATE_LIMITED', retryAfterMs: 50 };
    const { client, service } = await rig(RuntimeServiceService, limited, gone, { messages: [] });
    const error = await refused(Array.fromAsync(client.program('qa').stream({})));
    expect([error.reason, service.seen.length]).toEqual(['SHUTTING_DOWN', 2]);
  });
});

describe('deadlines and cancelling', () => {
  it('tells the service the deadline, of the call and of the run', async () => {
    const { client, service } = await rig(RuntimeServiceService, { messages: [{}] });
    await client.executeProgram('qa', {}, { timeoutMs: 90_000 });
    const { deadlineMs, request } = service.seen[0]!;
    expect(Math.abs(deadlineMs - Date.now() - 90_000)).toBeLessThan(5_000);
    expect(request.executionOptions).toMatchObject({ timeoutMs: 90_000n });
  });

  it('closes the call in the service when the iteration is left, or the signal says so', async () => {
    const state = {
      sequence: 1n,
      event: { $case: 'state', value: { status: ExecutionStatus.EXECUTION_STATUS_RUNNING } },
    };
    const begun: Answer = { messages: [state], ending: 'hang' };
    const { client, service } = await rig(RuntimeServiceService, begun, begun);
    for await (const event of client.program('qa').stream({})) {
      expect(event).toMatchObject({ type: 'state', status: 'running', sequence: 1 });
      break;
    }
    await eventually(() => expect(service.seen[0]!.cancelled).toBe(true));
    const stop = new AbortController();
    const events = client.program('qa').stream({}, { signal: stop.signal });
    await events.next();
    stop.abort();
    expect((await refused(events.next())).reason).toBe('CANCELLED');
    await eventually(() => expect(service.seen[1]!.cancelled).toBe(true));
  });
});

describe('watching', () => {
  const token = (sequence: bigint, text: string): object => ({
    ...{ sequence, executionId: 'x' },
    event: { $case: 'token', value: { predictor: 'self', field: 'answer', text } },
  });
  const result = {
    sequence: 9n,
    executionId: 'x',
    event: { $case: 'result', value: ExecutionResult.fromPartial({ executionId: 'x' }) },
  };

  it('opens a lost connection again after the last event, and gives no text twice', async () => {
    const { client, service } = await rig(
      ExecutionServiceService,
      { messages: [token(3n, 'Ada '), token(4n, 'Love')], ending: gone },
      { messages: [token(6n, 'Ada Lovelace'), token(7n, '!'), result] },
    );
    const events = await Array.fromAsync(client.executions.watch('x'));
    expect(events.flatMap((event) => (event.type === 'token' ? [event.text] : [])).join('')).toBe('Ada Lovelace!');
    expect(events.at(-1)).toMatchObject({ type: 'result' });
    expect(service.seen.map(({ request }) => request.afterSequence)).toEqual([0n, 4n]);
  });

  it('gives up on an execution that is not there', async () => {
    const { client } = await rig(ExecutionServiceService, { code: status.NOT_FOUND, reason: 'EXECUTION_NOT_FOUND' });
    expect((await refused(Array.fromAsync(client.executions.watch('x')))).reason).toBe('EXECUTION_NOT_FOUND');
  });
});

describe('an encrypted connection', () => {
  const pair = selfSigned();

  it.skipIf(pair === undefined)('carries the key to a server that it trusts, and to no other', async () => {
    const { key, certificate } = pair!;
    const server = ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: certificate }]);
    const service = await startScriptedService(ProgramServiceService, [{ messages: [{ slug: 'qa' }] }], server);
    const trusting = new SignetClient({ address: service.address, key: 'secret-key', tls: { ca: certificate } });
    const wary = new SignetClient({ address: `https://${service.address}`, key: 'secret-key' });
    open.push(service, trusting, wary);
    expect((await trusting.services.programs.getProgram({ program: 'qa' })).slug).toBe('qa');
    expect(service.seen[0]!.metadata.authorization).toBe('Bearer secret-key');
    const error = await refused(wary.services.programs.getProgram({ program: 'qa' }, { timeoutMs: 3_000 }));
    expect(error.reason).toBe('SERVICE_UNAVAILABLE');
    expect(service.seen).toHaveLength(1);
  });
});
