import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GatewayRig, sampleResult, startRig } from '../test-support/owners.ts';

let rig: GatewayRig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.close());

const state = (sequence: bigint) => ({ sequence, executionId: 'x1', event: { $case: 'state', value: { status: 2 } } });
const token = (sequence: bigint, text: string) => ({
  sequence,
  executionId: 'x1',
  event: { $case: 'token', value: { predictor: 'p', field: 'answer', text } },
});
const stream = (init: RequestInit = {}) =>
  rig.fetch('/v1/programs/qa:stream', { method: 'POST', body: '{"inputs":{}}', ...init });
const untilAborted = (ctx: CallContext) =>
  new Promise<void>((resolve) => {
    ctx.signal.addEventListener('abort', () => resolve());
  });

describe('a stream of events', () => {
  test('names, numbers and writes each event', async () => {
    rig.answer('StreamProgram', async function* () {
      yield state(1n);
      yield token(2n, 'zwei\n"ü"');
      yield {
        sequence: 3n,
        executionId: 'x1',
        event: { $case: 'result', value: sampleResult('{"a":9007199254740993}') },
      };
    });
    const answer = await stream();
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const events = (await answer.text()).split('\n\n').filter((one) => one !== '' && !one.startsWith(':'));
    expect(events.slice(0, 2)).toEqual([
      'event: state\nid: 1\ndata: {"status":"EXECUTION_STATUS_RUNNING"}',
      'event: token\nid: 2\ndata: {"predictor":"p","field":"answer","text":"zwei\\n\\"ü\\""}',
    ]);
    expect(events[2]).toContain(
      'event: result\nid: 3\ndata: {"executionId":"x1","status":"EXECUTION_STATUS_COMPLETED"',
    );
    expect(events[2]).toContain('"outputs":{"a":9007199254740993}');
  });

  test('that fails before its first event is an ordinary problem', async () => {
    // biome-ignore lint/correctness/useYield: it fails before its first event
    rig.answer('StreamProgram', async function* () {
      throw new AppError('PROGRAM_NOT_READY', 'Program not ready for execution (status: draft)');
    });
    const answer = await stream();
    expect(answer.status).toBe(409);
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(await answer.json()).toMatchObject({ reason: 'PROGRAM_NOT_READY', traceId: expect.any(String) });
  });

  test('that fails later ends with the problem as an event', async () => {
    rig.answer('StreamProgram', async function* () {
      yield state(1n);
      throw new AppError('LM_UNAVAILABLE', 'The model does not answer', { retryAfterMs: 5 });
    });
    const last = (await (await stream()).text()).trimEnd().split('\n\n').at(-1)!;
    expect(last.split('\n')[0]).toBe('event: error');
    expect(JSON.parse(last.split('data: ')[1]!)).toMatchObject({
      reason: 'LM_UNAVAILABLE',
      status: 503,
      retryAfterMs: 5,
    });
  });

  test('with a bad deadline is an ordinary problem', async () => {
    const answer = await stream({ headers: { 'x-timeout-ms': 'x' } });
    expect(await answer.json()).toMatchObject({ status: 400, violations: [{ field: 'X-Timeout-Ms' }] });
  });

  test('is kept alive by comments, from before its first event', async () => {
    const quick = await startRig({ heartbeatMs: 50 });
    let release = (): void => {};
    quick.answer('StreamProgram', async function* () {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      yield state(1n);
    });
    const answer = await quick.fetch('/v1/programs/qa:stream', { method: 'POST', body: '{"inputs":{}}' });
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toMatch(/^: \n\n/);
    release();
    let rest = '';
    for (let part = await reader.read(); !part.done; part = await reader.read()) rest += part.value;
    expect(rest).toContain('event: state');
    await quick.close();
  });

  test('ends its call when the reader goes away', async () => {
    let aborted = false;
    rig.answer('StreamProgram', async function* (_request: never, ctx: CallContext) {
      yield state(1n);
      await untilAborted(ctx);
      aborted = true;
    });
    const controller = new AbortController();
    const answer = await stream({ signal: controller.signal });
    await answer.body!.getReader().read();
    controller.abort();
    await eventually(() => expect(aborted).toBe(true));
  });

  test('holds the owner back while the reader does not read', async () => {
    let sent = 0;
    const total = 400;
    rig.answer('StreamProgram', async function* () {
      for (; sent < total; sent++) yield token(BigInt(sent + 1), 'x'.repeat(100_000));
    });
    const answer = await stream();
    // Bounded by sockets and windows, not by the stream's 40 MB.
    await eventually(() => expect(sent).toBeGreaterThan(1));
    let before = -1;
    await eventually(
      () => {
        const moved = sent !== before;
        before = sent;
        if (moved) throw new Error('still moving');
      },
      5000,
      200,
    );
    expect(sent).toBeLessThan(total);
    const text = await answer.text();
    expect(text.match(/event: token/g)).toHaveLength(total);
  });

  test('is resumed after an event by Last-Event-ID', async () => {
    rig.answer('WatchExecution', async function* () {
      yield state(8n);
    });
    await (await rig.fetch('/v1/executions/x1:watch', { headers: { 'last-event-id': '7' } })).text();
    expect(rig.seen.at(-1)!.request).toMatchObject({ execution: 'x1', afterSequence: 7n });
    const refused = await rig.fetch('/v1/executions/x1:watch', { headers: { 'last-event-id': 'x' } });
    expect(await refused.json()).toMatchObject({ status: 400, violations: [{ field: 'Last-Event-ID' }] });
  });
});
