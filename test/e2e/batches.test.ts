import { eventually } from '@signet/kit/testing/eventually.ts';
import { parquetReadObjects } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import { csv, linesOf, ndjson, rows, useBatching } from '../support/batching.ts';
import type { JsonObject } from '../support/http.ts';
import { demand, uniqueName } from '../support/programs.ts';

const used = useBatching();

describe('PRF-02 batches that nobody waits for', () => {
  it('run every row of an upload, and tell of each by index', async () => {
    const id = await used.batch(used.qa, 150, '&name=mine&labels.team=x&concurrency=8');
    const done = await used.reaches(id, 'COMPLETED');
    expect(done).toMatchObject({
      name: 'mine',
      itemCount: '150',
      completedCount: '150',
      failedCount: '0',
      concurrency: 8,
    });
    const page = demand(await used.stack.http.get(`/v1/batches/${id}/items?pageSize=100`), 200);
    const items = page.items as JsonObject[];
    expect(items.map(({ index }) => index)).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));
    expect(items[42]).toMatchObject({ status: 'EXECUTION_STATUS_COMPLETED', inputs: { q: 'question 42', n: 42 } });
    const next = demand(
      await used.stack.http.get(`/v1/batches/${id}/items?pageSize=100&pageToken=${page.nextPageToken}`),
      200,
    );
    expect([(next.items as JsonObject[]).length, next.nextPageToken]).toEqual([50, '']);
    const execution = demand(await used.stack.http.get(`/v1/executions/${items[42]!.executionId}`), 200);
    expect(execution).toMatchObject({ labels: { team: 'x', batch: id }, detached: true, version: 1 });
  });

  it('give their results as NDJSON, CSV and Parquet', async () => {
    const id = String(demand(await used.upload(used.qa, 'n,q\n1,"a, ""b"""\n2,=1+1\n', '', csv), 201).id);
    await used.reaches(id, 'COMPLETED');
    const get = (format: string) => used.stack.http.get(`/v1/batches/${id}/results?format=${format}`);
    const lines = linesOf(await get('ndjson'));
    expect(lines[0]).toMatchObject({ index: 0, status: 'completed', inputs: { q: 'a, "b"', n: 1 }, outputs: {} });
    const table = (await get('csv')).text.split('\n');
    expect(table[0]).toBe(
      'index,execution_id,example_id,status,inputs.q,inputs.n,outputs.a,error_reason,error_message,duration_ms',
    );
    expect(table[1]).toContain('"a, ""b""",1,');
    expect(table[2]).toContain(",'=1+1,2,");
    const raw = await fetch(`http://${used.stack.httpAddress}/v1/batches/${id}/results?format=parquet`, {
      headers: { authorization: `Bearer ${used.stack.adminKey}` },
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

  it('pause and go on where they stopped', async () => {
    const slug = await used.program({ latency_ms: 30 });
    const id = await used.batch(slug, 200, '&concurrency=4');
    await eventually(async () => expect(Number((await used.read(id)).completedCount)).toBeGreaterThan(0));
    const paused = demand(await used.stack.http.post(`/v1/batches/${id}:pause`), 200);
    expect(paused.status).toBe('BATCH_STATUS_PAUSED');
    const still = await eventually(async () => {
      const before = (await used.read(id)).completedCount;
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect((await used.read(id)).completedCount).toBe(before);
      return Number(before);
    });
    expect(still).toBeLessThan(200);
    demand(await used.stack.http.post(`/v1/batches/${id}:resume`), 200);
    expect(await used.reaches(id, 'COMPLETED')).toMatchObject({ completedCount: '200', failedCount: '0' });
    const { executions } = demand(
      await used.stack.http.get(`/v1/executions?pageSize=1000&filter=${encodeURIComponent(`labels.batch = "${id}"`)}`),
      200,
    );
    expect(executions).toHaveLength(200);
    const again = await used.stack.http.post(`/v1/batches/${id}:resume`);
    expect([again.status, again.body.reason]).toEqual([409, 'STATE_FORBIDS']);
  });

  it('do what was asked last of those who pause and those who resume at the same time, and refuse nobody', async () => {
    const id = await used.batch(used.slow, 20, '&concurrency=1');
    const asked = Array.from({ length: 60 }, (_, n) =>
      used.stack.http.post(`/v1/batches/${id}:${n % 2 === 0 ? 'pause' : 'resume'}`),
    );
    expect(new Set((await Promise.all(asked)).map(({ status, body }) => body.detail ?? status))).toEqual(
      new Set([200]),
    );
    demand(await used.stack.http.post(`/v1/batches/${id}:cancel`), 200);
  });

  it('are cancelled as a whole: what runs is ended, what waits never begins', async () => {
    const id = await used.batch(used.slow, 200, '&concurrency=5');
    await eventually(async () => {
      const running = demand(await used.stack.http.get(`/v1/batches/${id}/items?status=running`), 200);
      expect(running.items).toHaveLength(5);
    });
    const cancelled = demand(await used.stack.http.post(`/v1/batches/${id}:cancel`), 200);
    expect(cancelled).toMatchObject({ status: 'BATCH_STATUS_CANCELLED', cancelledCount: '200', completedCount: '0' });
    expect(demand(await used.stack.http.post(`/v1/batches/${id}:cancel`), 200).status).toBe('BATCH_STATUS_CANCELLED');
    const gone = demand(await used.stack.http.get(`/v1/batches/${id}/items?status=cancelled&pageSize=1000`), 200);
    expect(gone.items).toHaveLength(200);
    expect((gone.items as JsonObject[])[199]).toMatchObject({ inputs: { q: 'question 199', n: 199 } });
    expect((await used.stack.http.delete(`/v1/batches/${id}`)).status).toBe(204);
    expect((await used.stack.http.get(`/v1/batches/${id}`)).body.reason).toBe('BATCH_NOT_FOUND');
  });

  it('count failures beside what went well, and list them', async () => {
    const slug = await used.program({ error: 'LM_UNAVAILABLE' });
    const id = await used.batch(slug, 3);
    expect(await used.reaches(id, 'COMPLETED')).toMatchObject({ completedCount: '0', failedCount: '3' });
    const failed = demand(await used.stack.http.get(`/v1/batches/${id}/items?status=failed`), 200);
    expect((failed.items as JsonObject[])[2]).toMatchObject({ index: '2', error: { reason: 'LM_UNAVAILABLE' } });
  });

  it('keep what items were given that could not begin any more', async () => {
    const slug = await used.program({ latency_ms: 100 });
    const id = await used.batch(slug, 40, '&concurrency=2');
    expect((await used.stack.http.delete(`/v1/programs/${slug}?force=true`)).status).toBe(204);
    await used.reaches(id, 'COMPLETED');
    const [last] = linesOf(await used.stack.http.get(`/v1/batches/${id}/results?status=failed`)).slice(-1);
    expect(last).toMatchObject({
      index: 39,
      inputs: { q: 'question 39', n: 39 },
      error: { reason: 'PROGRAM_NOT_FOUND' },
    });
  });

  it('can be watched until they have ended', async () => {
    const slug = await used.program({ latency_ms: 50 });
    const id = await used.batch(slug, 40, '&concurrency=4');
    const stream = await used.stack.sse(`/v1/batches/${id}:watch`);
    const events = await Array.fromAsync(stream.events);
    expect(events.length).toBeGreaterThan(1);
    expect(events.at(-1)?.event).toBe('result');
    expect(events.at(-1)!.data).toMatchObject({ status: 'BATCH_STATUS_COMPLETED', completedCount: '40' });
  });

  it('run pipelines, each step an execution of its own, on one line and handed in', async () => {
    const module = uniqueName('answers');
    const fields = { name: module, type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'q: str -> a: str' };
    demand(await used.stack.http.post('/v1/modules', fields), 201);
    const pipelineSpec = {
      inputs: 'q: str, n: int',
      steps: [
        { id: 'same', type: 'function', function: 'value', input: { value: { $ref: 'input.q' } } },
        { id: 'ask', type: 'module', module, input: { q: { $ref: 'steps.same.value' } } },
      ],
      return: { answer: { $ref: 'steps.same.value' }, a: { $ref: 'steps.ask.a' } },
    };
    const spec = { name: uniqueName('pipeline'), adapterType: 'mock', modules: [module], pipelineSpec };
    const made = demand(await used.stack.http.post('/v1/programs:compose', spec), 201);
    const slug = String(made.slug);
    demand(await used.stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    const body = '{"inputs":{"q":"first","n":1}}\n{"inputs":{"q":"second","n":2}}';
    const answer = await used.stack.http.send('POST', `/v1/programs/${slug}:batchExecute`, body, ndjson);
    const results = linesOf(answer).toSorted((a, b) => Number(a.index) - Number(b.index));
    expect(results.map(({ outputs }) => (outputs as JsonObject).answer)).toEqual(['first', 'second']);
    const id = await used.batch(slug, 20);
    expect(await used.reaches(id, 'COMPLETED')).toMatchObject({ completedCount: '20', failedCount: '0' });
    const lines = linesOf(await used.stack.http.get(`/v1/batches/${id}/results`));
    expect(lines[3]).toMatchObject({ index: 3, outputs: { answer: 'question 3' } });
    const tree = demand(await used.stack.http.get(`/v1/executions/${lines[3]!.executionId}:tree`), 200);
    expect(JSON.stringify(tree)).toContain('same');
  });

  it('are made once for one request id', async () => {
    const first = demand(await used.upload(used.qa, rows(2), '&requestId=once-1'), 201);
    const second = demand(await used.upload(used.qa, rows(2), '&requestId=once-1'), 201);
    expect(second.id).toBe(first.id);
    const other = await used.upload(used.slow, rows(2), '&requestId=once-1');
    expect(other.body.reason).toBe('IDEMPOTENCY_KEY_REUSED');
  });

  it('are listed by program, state and label', async () => {
    const slug = await used.program({});
    const ids = [await used.batch(slug, 1, '&labels.run=a'), await used.batch(slug, 1, '&labels.run=b')];
    const all = demand(await used.stack.http.get(`/v1/programs/${slug}/batches`), 200);
    expect((all.batches as JsonObject[]).map(({ id }) => id)).toEqual(ids.toReversed());
    const filter = encodeURIComponent('labels.run = "a"');
    const some = demand(await used.stack.http.get(`/v1/batches?filter=${filter}`), 200);
    expect((some.batches as JsonObject[]).map(({ id }) => id)).toEqual([ids[0]]);
    expect((await used.stack.http.get('/v1/batches/nothing')).status).toBe(404);
  });
});
