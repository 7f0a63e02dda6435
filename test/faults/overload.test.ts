import type { AppError } from '@signet/kit/error/app-error.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecuteProgramRequest, RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpAnswer } from '../support/http.ts';
import { flood, overload, type Target } from '../support/overload.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

// Four seconds of what `npm run bench -- --overload` does for a minute; figures of a busy machine, so the bounds are wide.
const SECONDS = 4;
const PLACES = 24;
const LATENCY_MS = 100;

describe('overload', () => {
  let stack: Stack;
  let target: Target;
  let slugOf = '';
  beforeAll(async () => {
    stack = await startStack({
      engines: 'mock',
      env: { SIGNET_RATE_LIMIT: 'off', SIGNET_LOG_LEVEL: 'info' },
      envOf: {
        gateway: { SIGNET_IN_FLIGHT_MAX: String(PLACES) },
        executor: { SIGNET_BACKLOG_MAX: '50', SIGNET_DETACHED_MAX: '10' },
      },
    });
    const configuration = { metadata: { mock: { latency_ms: LATENCY_MS } } };
    const { slug } = await readyProgram(stack, { configuration });
    const path = `/v1/programs/${slug}:execute`;
    const body = JSON.stringify({ inputs: QA_INPUTS });
    slugOf = String(slug);
    target = { address: `http://${stack.httpAddress}`, path, key: stack.adminKey, body };
  });
  afterAll(() => stack?.close());

  it('goes on at its peak when five times as much is asked for, refuses the rest at once, and is as before afterwards', async () => {
    const pids = { gateway: stack.pid('gateway'), executor: stack.pid('executor') };
    const seen = await overload(target, { seconds: SECONDS, callers: PLACES - PLACES / 8, times: 5, pids });
    const text = JSON.stringify(seen);
    expect(Object.keys(seen.flood.counts).toSorted(), text).toEqual(['200', '429']);
    expect(seen.flood.withoutRetry).toBe(0);
    expect(seen.share, text).toBeGreaterThan(0.7);
    expect(seen.flood.counts['429']!, text).toBeGreaterThan(seen.flood.counts['200']!);
    expect(seen.flood.refused.p50Ms, text).toBeLessThan(seen.flood.good.p50Ms);
    for (const [before, most] of Object.values(seen.memoryMb)) expect(most - before, text).toBeLessThan(200);
    expect(Object.keys(seen.after.counts)).toEqual(['200']);
    expect(seen.after.good.p50Ms, text).toBeLessThan(seen.before.good.p50Ms * 1.5 + 50);
  }, 90_000);

  it('keeps places for others when one key takes all it can get', async () => {
    const other = demand(await stack.http.post('/v1/apiKeys', { name: 'other', role: 'runner' }), 201).secret;
    const greedy = flood({ ...target, seconds: 3, pace: { callers: PLACES * 4 } });
    const modest = await flood({ ...target, key: String(other), seconds: 2.5, pace: { callers: 2 } });
    expect(modest.counts['429'] ?? 0, JSON.stringify(modest)).toBe(0);
    expect(modest.counts['200']).toBeGreaterThan(5);
    expect((await greedy).counts['429']).toBeGreaterThan(0);
  });

  it('refuses over gRPC with RetryInfo, and serves who looks after it all the while', async () => {
    const greedy = flood({ ...target, seconds: 2, pace: { callers: PLACES * 4 } });
    const request = ExecuteProgramRequest.fromPartial({
      program: slugOf,
      inputs: { kind: { $case: 'json', value: Buffer.from(target.body) } },
    });
    await eventually(async () => {
      const calls = Array.from({ length: 8 }, () =>
        stack.grpc.unary(RuntimeServiceService.executeProgram, request).catch((error: unknown) => error),
      );
      const refused = (await Promise.all(calls)).find((one) => (one as AppError).reason === 'QUEUE_FULL') as AppError;
      expect(refused?.retryAfterMs).toBeGreaterThanOrEqual(1000);
    });
    expect((await stack.http.get('/livez', { key: '' })).status).toBe(200);
    const { text } = await stack.http.get('/metrics', { key: '' });
    expect(text).toMatch(/signet_gateway_refused_count_total\{[^}]*signet_call_kind="run"[^}]*\} [1-9]/);
    expect((await greedy).withoutRetry).toBe(0);
  });

  it('bounds what waits for later, and takes more when there is room again', async () => {
    const create = () => stack.http.post('/v1/executions', { program: slugOf, inputs: QA_INPUTS });
    const refused: HttpAnswer[] = [];
    const ids: string[] = [];
    await eventually(async () => {
      for (const answer of await Promise.all(Array.from({ length: 200 }, create))) {
        if (answer.status === 202) ids.push(String(answer.body.id));
        else refused.push(answer);
      }
      expect(refused.length).toBeGreaterThan(0);
    });
    expect(refused.every(({ status, body }) => status === 429 && body.reason === 'QUEUE_FULL')).toBe(true);
    expect(refused.every(({ headers }) => Number(headers['retry-after']) >= 1)).toBe(true);
    for (const id of ids.slice(-3)) {
      const ended = await stack.http.get(`/v1/executions/${id}:wait?timeoutMs=20000`);
      expect(ended.body.status).toBe('EXECUTION_STATUS_COMPLETED');
    }
    await eventually(async () => expect((await create()).status).toBe(202));
  });
});
