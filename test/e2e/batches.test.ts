import { eventually } from '@signet/kit/testing/eventually.ts';
import type { BatchExecuteResult } from '@signet/proto/gen/signet/v1/batch.ts';
import { BatchServiceService, UploadBatchRequest } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import { BatchExecuteProgramRequest, RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { demand, readyProgram, uniqueName } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

const ndjson = { headers: { 'content-type': 'application/x-ndjson' } };
const csv = { headers: { 'content-type': 'text/csv' } };
const { EXECUTION_STATUS_COMPLETED } = ExecutionStatus;

let stack: Stack;
let qa = '';
let slow = '';
beforeAll(async () => {
  stack = await startStack({ engines: 'mock', env: { SIGNET_RATE_LIMIT: 'off' } });
  qa = await program({});
  slow = await program({ latency_ms: 60_000 });
}, 60_000);
afterAll(() => stack?.close());

async function program(mock: JsonObject): Promise<string> {
  const configuration = { metadata: { mock } };
  const made = await readyProgram(stack, {
    adapterType: 'mock',
    signatureSpec: 'q: str, n: int -> a: str',
    configuration,
  });
  return String(made.slug);
}

function linesOf({ text }: HttpAnswer): JsonObject[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JsonObject);
}

function rows(count: number): string {
  return Array.from({ length: count }, (_, n) => `${JSON.stringify({ q: `question ${n}`, n })}\n`).join('');
}

async function upload(slug: string, body: string | Uint8Array, query = '', type = ndjson): Promise<HttpAnswer> {
  return stack.http.send('POST', `/v1/batches:upload?program=${slug}${query}`, body, type);
}

async function batch(slug: string, count: number, query = ''): Promise<string> {
  return String(demand(await upload(slug, rows(count), query), 201).id);
}

async function read(id: string): Promise<JsonObject> {
  return demand(await stack.http.get(`/v1/batches/${id}`), 200);
}

async function reaches(id: string, status: string): Promise<JsonObject> {
  return eventually(async () => {
    const found = await read(id);
    expect(found.status).toBe(`BATCH_STATUS_${status}`);
    return found;
  }, 20_000);
}

describe('PRF-01 BatchExecuteProgram', () => {
  it('answers each item with its index, good and bad ones alike, over HTTP', async () => {
    const items = [
      { index: 7, inputs: { q: 'a', n: 1 } },
      { inputs: { q: 'b', n: 'no number' } },
      { inputs: { q: 'c', n: 3 } },
      { index: '9' },
    ];
    const body = items.map((item) => JSON.stringify(item)).join('\n');
    const answer = await stack.http.send('POST', `/v1/programs/${qa}:batchExecute?concurrency=2`, body, ndjson);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/x-ndjson']);
    const results = new Map(linesOf(answer).map((line) => [line.index, line]));
    expect([...results.keys()].toSorted()).toEqual(['1', '2', '7', '9']);
    for (const index of ['7', '2']) {
      expect(results.get(index)).toMatchObject({ status: 'EXECUTION_STATUS_COMPLETED', version: 1 });
      const id = String(results.get(index)!.executionId);
      expect(demand(await stack.http.get(`/v1/executions/${id}`), 200).outputs).toEqual(results.get(index)!.outputs);
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
      yield BatchExecuteProgramRequest.fromPartial({ program: qa, concurrency: 1 });
      for (let n = 0; n < 3; n++) {
        const inputs = { kind: { $case: 'struct' as const, value: { q: 'a', n } } };
        yield BatchExecuteProgramRequest.fromPartial({ item: { inputs } });
        await eventually(() => expect(heard).toHaveLength(n + 1));
      }
    }
    const method = RuntimeServiceService.batchExecuteProgram;
    for await (const result of stack.grpc.duplex(method, items())) heard.push(result);
    expect(heard.map(({ index, status }) => [index, status])).toEqual(
      [0n, 1n, 2n].map((index) => [index, EXECUTION_STATUS_COMPLETED]),
    );
    expect(heard[0]?.outputs?.kind?.$case).toBe('struct');
  });

  it('runs 100 items of 50 ms side by side', async () => {
    const slug = await program({ latency_ms: 50 });
    const body = Array.from({ length: 100 }, (_, n) => JSON.stringify({ inputs: { q: 'a', n } })).join('\n');
    // Once before, so that neither way pays for what is only done at first.
    demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { q: 'a', n: 1 } }), 200);
    const sinceMs = performance.now();
    const path = `/v1/programs/${slug}:batchExecute?concurrency=100`;
    expect(linesOf(await stack.http.send('POST', path, body, ndjson))).toHaveLength(100);
    expect(performance.now() - sinceMs).toBeLessThan((100 * 50) / 4);
  });

  it.each([
    [{ program: 'nobody' }, 404, 'PROGRAM_NOT_FOUND'],
    [{ query: 'concurrency=257' }, 400, 'INVALID_REQUEST'],
    [{ query: 'executionOptions.shadow=native' }, 400, 'INVALID_REQUEST'],
  ])(
    'refuses %j before the first item',
    async ({ program: slug = qa, query = '' }: { program?: string; query?: string }, status, reason) => {
      const path = `/v1/programs/${slug}:batchExecute?${query}`;
      const answer = await stack.http.send('POST', path, '{"inputs":{"q":"a","n":1}}', ndjson);
      expect([answer.status, answer.body.reason]).toEqual([status, reason]);
    },
  );

  it('ends its items when the caller goes away', async () => {
    const stop = new AbortController();
    const label = `gone-${Date.now()}`;
    const path = `/v1/programs/${slow}:batchExecute?labels.case=${label}`;
    const call = stack.http.send('POST', path, '{"inputs":{"q":"a","n":1}}\n'.repeat(5), {
      ...ndjson,
      signal: stop.signal,
    });
    const filter = encodeURIComponent(`labels.case = "${label}"`);
    const statuses = async () => {
      const { executions } = demand(await stack.http.get(`/v1/executions?filter=${filter}`), 200);
      return (executions as JsonObject[]).map(({ status }) => status);
    };
    await eventually(async () => expect(await statuses()).toHaveLength(5));
    stop.abort();
    await expect(call).rejects.toThrow();
    await eventually(async () => expect(await statuses()).toEqual(Array(5).fill('EXECUTION_STATUS_CANCELLED')));
  });
});

describe('PRF-02 batches that nobody waits for', () => {
  it('run every row of an upload, and tell of each by index', async () => {
    const id = await batch(qa, 150, '&name=mine&labels.team=x&concurrency=8');
    const done = await reaches(id, 'COMPLETED');
    expect(done).toMatchObject({
      name: 'mine',
      itemCount: '150',
      completedCount: '150',
      failedCount: '0',
      concurrency: 8,
    });
    const page = demand(await stack.http.get(`/v1/batches/${id}/items?pageSize=100`), 200);
    const items = page.items as JsonObject[];
    expect(items.map(({ index }) => index)).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));
    expect(items[42]).toMatchObject({ status: 'EXECUTION_STATUS_COMPLETED', inputs: { q: 'question 42', n: 42 } });
    const next = demand(
      await stack.http.get(`/v1/batches/${id}/items?pageSize=100&pageToken=${page.nextPageToken}`),
      200,
    );
    expect([(next.items as JsonObject[]).length, next.nextPageToken]).toEqual([50, '']);
    const execution = demand(await stack.http.get(`/v1/executions/${items[42]!.executionId}`), 200);
    expect(execution).toMatchObject({ labels: { team: 'x', batch: id }, detached: true, version: 1 });
  });

  it('give their results as NDJSON, CSV and Parquet', async () => {
    const id = String(demand(await upload(qa, 'n,q\n1,"a, ""b"""\n2,=1+1\n', '', csv), 201).id);
    await reaches(id, 'COMPLETED');
    const get = (format: string) => stack.http.get(`/v1/batches/${id}/results?format=${format}`);
    const lines = linesOf(await get('ndjson'));
    expect(lines[0]).toMatchObject({ index: 0, status: 'completed', inputs: { q: 'a, "b"', n: 1 }, outputs: {} });
    const table = (await get('csv')).text.split('\n');
    expect(table[0]).toBe(
      'index,execution_id,example_id,status,inputs.q,inputs.n,outputs.a,error_reason,error_message,duration_ms',
    );
    expect(table[1]).toContain('"a, ""b""",1,');
    expect(table[2]).toContain(",'=1+1,2,");
    const raw = await fetch(`http://${stack.httpAddress}/v1/batches/${id}/results?format=parquet`, {
      headers: { authorization: `Bearer ${stack.adminKey}` },
    });
    expect(raw.headers.get('content-type')).toBe('application/vnd.apache.parquet');
    const found = await parquetReadObjects({ file: await raw.arrayBuffer() });
    expect(found.map((row) => [row.index, row['inputs.q'], row['inputs.n'], row.status])).toEqual([
      [0n, 'a, "b"', 1n, 'completed'],
      [1n, '=1+1', 2n, 'completed'],
    ]);
    const missing = await get('xlsx');
    expect([missing.status, missing.body.reason]).toEqual([400, 'INVALID_REQUEST']);
  });

  it('report every row that does not fit, with line and field, and keep nothing', async () => {
    const body = ['{"q":"a","n":1}', '{"q":"a","n":"x"}', '{"q":', '', '{"n":1}', '[]'].join('\n');
    const answer = await upload(qa, body, '&name=bad');
    expect([answer.status, answer.body.reason]).toEqual([400, 'INPUT_INVALID']);
    expect(answer.body.metadata).toMatchObject({ rejected: '4', line: '2' });
    const violations = answer.body.violations as JsonObject[];
    expect(violations.map(({ field }) => field)).toEqual(['lines[2].n', 'lines[3]', 'lines[5].q', 'lines[6]']);
    const { batches } = demand(await stack.http.get(`/v1/batches?filter=${encodeURIComponent('name = "bad"')}`), 200);
    expect(batches).toEqual([]);
  });

  it('keep the rows that fit where the caller wants that', async () => {
    const body = 'q,n\na,1\nb,x\nc,3,4\nd,4\n';
    const made = demand(await upload(qa, body, '&onError=keep_good', csv), 201);
    expect([made.itemCount, made.rejectedCount]).toEqual(['2', '2']);
    expect((made.rowFaults as JsonObject[]).map(({ line, field, reason }) => [line, field, reason])).toEqual([
      ['3', 'n', 'TYPE_MISMATCH'],
      ['4', '', 'ROW_WIDTH'],
    ]);
    expect((await reaches(String(made.id), 'COMPLETED')).completedCount).toBe('2');
  });

  it.each([
    ['text/csv', 'q,n\na,"1\n', 'line'],
    ['text/csv', 'q,q\na,1\n', 'line'],
    ['application/json', '[]', ''],
    ['', '{"q":"a","n":1}', ''],
  ])('refuse a file that cannot be read: %s %j', async (type, body, metadata) => {
    const answer = await upload(qa, body, '', { headers: { 'content-type': type } });
    if (type === '') return expect(answer.status).toBe(201);
    expect([answer.status, answer.body.reason]).toEqual([400, 'INVALID_REQUEST']);
    if (metadata !== '') expect(answer.body.metadata).toHaveProperty(metadata);
  });

  describe('over a dataset', () => {
    let dataset = '';
    beforeAll(async () => {
      const made = demand(await stack.http.post('/v1/datasets', { name: uniqueName('questions'), program: qa }), 201);
      dataset = String(made.slug);
      const lines = Array.from({ length: 90 }, (_, n) => {
        const split = n % 3 === 0 ? 'test' : 'train';
        return JSON.stringify({ inputs: { q: `question ${n}`, n }, outputs: { a: 'x' }, split });
      });
      const path = `/v1/datasets/${dataset}/examples:import`;
      demand(await stack.http.send('POST', path, lines.join('\n'), ndjson), 201);
    });

    const over = (more: JsonObject) => stack.http.post('/v1/batches', { program: qa, dataset, ...more });

    it('run the examples of its splits, each named by its item', async () => {
      const made = await over({ splits: ['test'], name: 'over a dataset' });
      expect([made.status, made.headers.location]).toEqual([201, `/v1/batches/${made.body.id}`]);
      const id = String(made.body.id);
      const done = await reaches(id, 'COMPLETED');
      expect(done).toMatchObject({ itemCount: '30', completedCount: '30', datasetVersion: 1, splits: ['SPLIT_TEST'] });
      const { items } = demand(await stack.http.get(`/v1/batches/${id}/items`), 200);
      const [first] = items as JsonObject[];
      expect(first).toMatchObject({ inputs: { q: 'question 0', n: 0 } });
      const { examples } = demand(await stack.http.get(`/v1/datasets/${dataset}/examples?split=test`), 200);
      expect((examples as JsonObject[]).map(({ id }) => id)).toContain(first!.exampleId);
    });

    it('fail as a whole where examples do not fit, or leave them out', async () => {
      const signatureSpec = `q: Literal['question 1', 'question 2'], n: int -> a: str`;
      const strict = String((await readyProgram(stack, { adapterType: 'mock', signatureSpec })).slug);
      const whole = demand(await over({ program: strict }), 201);
      const failed = await reaches(String(whole.id), 'FAILED');
      expect(failed).toMatchObject({ itemCount: '0', rejectedCount: '88' });
      expect((failed.rowFaults as JsonObject[])[0]).toMatchObject({ field: 'q' });
      const some = demand(await over({ program: strict, onError: 'keep_good' }), 201);
      const done = await reaches(String(some.id), 'COMPLETED');
      expect(done).toMatchObject({ completedCount: '2', rejectedCount: '88' });
    });

    it.each([
      [{ dataset: 'nobody' }, 404, 'DATASET_NOT_FOUND'],
      [{ dataset: '' }, 400, 'INVALID_REQUEST'],
      [{ splits: ['holdout'] }, 400, 'INVALID_REQUEST'],
      [{ name: 'x'.repeat(201) }, 400, 'INVALID_REQUEST'],
      [{ labels: { batch: 'mine' } }, 400, 'INVALID_REQUEST'],
      [{ program: 'nobody' }, 404, 'PROGRAM_NOT_FOUND'],
    ])('refuse %j', async (more: JsonObject, status, reason) => {
      const refused = await over(more);
      expect([refused.status, refused.body.reason]).toEqual([status, reason]);
    });
  });

  it('pause and go on where they stopped', async () => {
    const slug = await program({ latency_ms: 30 });
    const id = await batch(slug, 200, '&concurrency=4');
    await eventually(async () => expect(Number((await read(id)).completedCount)).toBeGreaterThan(0));
    const paused = demand(await stack.http.post(`/v1/batches/${id}:pause`), 200);
    expect(paused.status).toBe('BATCH_STATUS_PAUSED');
    const still = await eventually(async () => {
      const before = (await read(id)).completedCount;
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect((await read(id)).completedCount).toBe(before);
      return Number(before);
    });
    expect(still).toBeLessThan(200);
    demand(await stack.http.post(`/v1/batches/${id}:resume`), 200);
    expect(await reaches(id, 'COMPLETED')).toMatchObject({ completedCount: '200', failedCount: '0' });
    const { executions } = demand(
      await stack.http.get(`/v1/executions?pageSize=1000&filter=${encodeURIComponent(`labels.batch = "${id}"`)}`),
      200,
    );
    expect(executions).toHaveLength(200);
    const again = await stack.http.post(`/v1/batches/${id}:resume`);
    expect([again.status, again.body.reason]).toEqual([409, 'STATE_FORBIDS']);
  });

  it('are cancelled as a whole: what runs is ended, what waits never begins', async () => {
    const id = await batch(slow, 200, '&concurrency=5');
    await eventually(async () => {
      const running = demand(await stack.http.get(`/v1/batches/${id}/items?status=running`), 200);
      expect(running.items).toHaveLength(5);
    });
    const cancelled = demand(await stack.http.post(`/v1/batches/${id}:cancel`), 200);
    expect(cancelled).toMatchObject({ status: 'BATCH_STATUS_CANCELLED', cancelledCount: '200', completedCount: '0' });
    expect(demand(await stack.http.post(`/v1/batches/${id}:cancel`), 200).status).toBe('BATCH_STATUS_CANCELLED');
    const gone = demand(await stack.http.get(`/v1/batches/${id}/items?status=cancelled&pageSize=1000`), 200);
    expect(gone.items).toHaveLength(200);
    expect((await stack.http.delete(`/v1/batches/${id}`)).status).toBe(204);
    expect((await stack.http.get(`/v1/batches/${id}`)).body.reason).toBe('BATCH_NOT_FOUND');
  });

  it('count failures beside what went well, and list them', async () => {
    const slug = await program({ error: 'LM_UNAVAILABLE' });
    const id = await batch(slug, 3);
    expect(await reaches(id, 'COMPLETED')).toMatchObject({ completedCount: '0', failedCount: '3' });
    const failed = demand(await stack.http.get(`/v1/batches/${id}/items?status=failed`), 200);
    expect((failed.items as JsonObject[])[2]).toMatchObject({ index: '2', error: { reason: 'LM_UNAVAILABLE' } });
  });

  it('can be watched until they have ended', async () => {
    const slug = await program({ latency_ms: 50 });
    const id = await batch(slug, 40, '&concurrency=4');
    const stream = await stack.sse(`/v1/batches/${id}:watch`);
    const events = await Array.fromAsync(stream.events);
    expect(events.length).toBeGreaterThan(1);
    expect(events.at(-1)?.event).toBe('result');
    expect(events.at(-1)!.data).toMatchObject({ status: 'BATCH_STATUS_COMPLETED', completedCount: '40' });
  });

  it('run pipelines, each step an execution of its own, on one line and handed in', async () => {
    const module = uniqueName('answers');
    const fields = { name: module, type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'q: str -> a: str' };
    demand(await stack.http.post('/v1/modules', fields), 201);
    const pipelineSpec = {
      inputs: 'q: str, n: int',
      steps: [
        { id: 'same', type: 'function', function: 'value', input: { value: { $ref: 'input.q' } } },
        { id: 'ask', type: 'module', module, input: { q: { $ref: 'steps.same.value' } } },
      ],
      return: { answer: { $ref: 'steps.same.value' }, a: { $ref: 'steps.ask.a' } },
    };
    const spec = { name: uniqueName('pipeline'), adapterType: 'mock', modules: [module], pipelineSpec };
    const made = demand(await stack.http.post('/v1/programs:compose', spec), 201);
    const slug = String(made.slug);
    demand(await stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    const body = '{"inputs":{"q":"first","n":1}}\n{"inputs":{"q":"second","n":2}}';
    const answer = await stack.http.send('POST', `/v1/programs/${slug}:batchExecute`, body, ndjson);
    const results = linesOf(answer).toSorted((a, b) => Number(a.index) - Number(b.index));
    expect(results.map(({ outputs }) => (outputs as JsonObject).answer)).toEqual(['first', 'second']);
    const id = await batch(slug, 20);
    expect(await reaches(id, 'COMPLETED')).toMatchObject({ completedCount: '20', failedCount: '0' });
    const lines = linesOf(await stack.http.get(`/v1/batches/${id}/results`));
    expect(lines[3]).toMatchObject({ index: 3, outputs: { answer: 'question 3' } });
    const tree = demand(await stack.http.get(`/v1/executions/${lines[3]!.executionId}:tree`), 200);
    expect(JSON.stringify(tree)).toContain('same');
  });

  it('are made once for one request id', async () => {
    const first = demand(await upload(qa, rows(2), '&requestId=once-1'), 201);
    const second = demand(await upload(qa, rows(2), '&requestId=once-1'), 201);
    expect(second.id).toBe(first.id);
    const other = await upload(slow, rows(2), '&requestId=once-1');
    expect(other.body.reason).toBe('IDEMPOTENCY_KEY_REUSED');
  });

  it('leave nothing of an upload that breaks off', async () => {
    async function* broken(): AsyncGenerator<UploadBatchRequest> {
      yield UploadBatchRequest.fromPartial({ program: qa, name: 'broken', content: Buffer.from(rows(1_000)) });
      throw new Error('the source broke');
    }
    const method = BatchServiceService.uploadBatch;
    const upload = async () => {
      for await (const _ of stack.grpc.duplex(method, broken()));
    };
    await expect(upload()).rejects.toThrow();
    await eventually(async () => {
      const { batches } = demand(
        await stack.http.get(`/v1/batches?filter=${encodeURIComponent('name = "broken"')}`),
        200,
      );
      expect(batches).toEqual([]);
    });
  });

  it('are listed by program, state and label', async () => {
    const slug = await program({});
    const ids = [await batch(slug, 1, '&labels.run=a'), await batch(slug, 1, '&labels.run=b')];
    const all = demand(await stack.http.get(`/v1/programs/${slug}/batches`), 200);
    expect((all.batches as JsonObject[]).map(({ id }) => id)).toEqual(ids.toReversed());
    const filter = encodeURIComponent('labels.run = "a"');
    const some = demand(await stack.http.get(`/v1/batches?filter=${filter}`), 200);
    expect((some.batches as JsonObject[]).map(({ id }) => id)).toEqual([ids[0]]);
    expect((await stack.http.get('/v1/batches/nothing')).status).toBe(404);
  });
});
