import { eventually } from '@signet/kit/testing/eventually.ts';
import type { BatchExecuteResult } from '@signet/proto/gen/signet/v1/batch.ts';
import { ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import { BatchExecuteProgramRequest, RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { describe, expect, it } from 'vitest';
import { linesOf, ndjson, useBatching } from '../support/batching.ts';
import type { JsonObject } from '../support/http.ts';
import { demand } from '../support/programs.ts';

const used = useBatching();

const { EXECUTION_STATUS_COMPLETED } = ExecutionStatus;

describe('PRF-01 BatchExecuteProgram', () => {
  it('answers each item with its index, good and bad ones alike, over HTTP', async () => {
    const items = [
      { index: 7, inputs: { q: 'a', n: 1 } },
      { inputs: { q: 'b', n: 'no number' } },
      { inputs: { q: 'c', n: 3 } },
      { index: '9' },
    ];
    const body = items.map((item) => JSON.stringify(item)).join('\n');
    const answer = await used.stack.http.send(
      'POST',
      `/v1/programs/${used.qa}:batchExecute?concurrency=2`,
      body,
      ndjson,
    );
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/x-ndjson']);
    const results = new Map(linesOf(answer).map((line) => [line.index, line]));
    expect([...results.keys()].toSorted()).toEqual(['1', '2', '7', '9']);
    for (const index of ['7', '2']) {
      expect(results.get(index)).toMatchObject({ status: 'EXECUTION_STATUS_COMPLETED', version: 1 });
      const id = String(results.get(index)!.executionId);
      expect(demand(await used.stack.http.get(`/v1/executions/${id}`), 200).outputs).toEqual(
        results.get(index)!.outputs,
      );
    }
    for (const index of ['1', '9']) {
      expect(results.get(index)).toMatchObject({
        status: 'EXECUTION_STATUS_FAILED',
        error: { reason: 'INPUT_INVALID' },
      });
    }
  });

  it('answers over gRPC while items still come', async () => {
    const heard: BatchExecuteResult[] = [];
    async function* items(): AsyncGenerator<BatchExecuteProgramRequest> {
      yield BatchExecuteProgramRequest.fromPartial({ program: used.qa, concurrency: 1 });
      for (let n = 0; n < 3; n++) {
        const inputs = { kind: { $case: 'struct' as const, value: { q: 'a', n } } };
        yield BatchExecuteProgramRequest.fromPartial({ item: { inputs } });
        await eventually(() => expect(heard).toHaveLength(n + 1));
      }
    }
    const method = RuntimeServiceService.batchExecuteProgram;
    for await (const result of used.stack.grpc.duplex(method, items())) heard.push(result);
    expect(heard.map(({ index, status }) => [index, status])).toEqual(
      [0n, 1n, 2n].map((index) => [index, EXECUTION_STATUS_COMPLETED]),
    );
    expect(heard[0]?.outputs?.kind?.$case).toBe('struct');
  });

  it('runs 100 items of 50 ms side by side', async () => {
    const slug = await used.program({ latency_ms: 50 });
    const body = Array.from({ length: 100 }, (_, n) => JSON.stringify({ inputs: { q: 'a', n } })).join('\n');
    // Once before, so that neither way pays for what is only done at first.
    demand(await used.stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { q: 'a', n: 1 } }), 200);
    const sinceMs = performance.now();
    const path = `/v1/programs/${slug}:batchExecute?concurrency=100`;
    expect(linesOf(await used.stack.http.send('POST', path, body, ndjson))).toHaveLength(100);
    expect(performance.now() - sinceMs).toBeLessThan((100 * 50) / 4);
  });

  it.each([
    [{ program: 'nobody' }, 404, 'PROGRAM_NOT_FOUND'],
    [{ query: 'concurrency=257' }, 400, 'INVALID_REQUEST'],
    [{ query: 'executionOptions.shadow=native' }, 400, 'INVALID_REQUEST'],
  ])(
    'refuses %j before the first item',
    async ({ program: slug = used.qa, query = '' }: { program?: string; query?: string }, status, reason) => {
      const path = `/v1/programs/${slug}:batchExecute?${query}`;
      const answer = await used.stack.http.send('POST', path, '{"inputs":{"q":"a","n":1}}', ndjson);
      expect([answer.status, answer.body.reason]).toEqual([status, reason]);
    },
  );

  it('ends its items when the caller goes away', async () => {
    const stop = new AbortController();
    const label = `gone-${Date.now()}`;
    const path = `/v1/programs/${used.slow}:batchExecute?labels.case=${label}`;
    const call = used.stack.http.send('POST', path, '{"inputs":{"q":"a","n":1}}\n'.repeat(5), {
      ...ndjson,
      signal: stop.signal,
    });
    const filter = encodeURIComponent(`labels.case = "${label}"`);
    const statuses = async () => {
      const { executions } = demand(await used.stack.http.get(`/v1/executions?filter=${filter}`), 200);
      return (executions as JsonObject[]).map(({ status }) => status);
    };
    await eventually(async () => expect(await statuses()).toHaveLength(5));
    stop.abort();
    await expect(call).rejects.toThrow();
    await eventually(async () => expect(await statuses()).toEqual(Array(5).fill('EXECUTION_STATUS_CANCELLED')));
  });
});
