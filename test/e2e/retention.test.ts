import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, readyProgram, uniqueName } from '../support/programs.ts';
import { putBack } from '../support/put-back.ts';
import { query } from '../support/query.ts';
import { startSecondExecutor } from '../support/second-executor.ts';
import type { ServiceProcess } from '../support/service-process.ts';
import { type Stack, startStack } from '../support/stack.ts';

const ndjson = { headers: { 'content-type': 'application/x-ndjson' } };
const metric = { kind: 'exact_match', field: 'answer' };

describe('what ended long ago', { timeout: 60_000 }, () => {
  let stack: Stack;
  let sweeper: ServiceProcess | undefined;
  beforeAll(async () => {
    stack = await startStack({ engines: 'mock' });
  });
  afterEach(async () => {
    await sweeper?.stop();
    sweeper = undefined;
  });
  afterAll(() => stack?.close());

  /** An executor that forgets what ended longer ago sweeps at its start. */
  const sweep = async (): Promise<void> => {
    sweeper = await startSecondExecutor(stack, { SIGNET_RETENTION: '90m' });
    await eventually(() => expect(sweeper!.lines.join('\n')).toContain('forgot what is not kept any longer'));
  };
  const get = (path: string) => stack.http.get(`/v1/${path}`);
  const ready = async (mock: JsonObject = {}): Promise<string> =>
    String(
      (await readyProgram(stack, { signatureSpec: 'question -> answer', configuration: { metadata: { mock } } })).slug,
    );
  const filled = async (count: number): Promise<string> => {
    const name = uniqueName('data');
    demand(await stack.http.post('/v1/datasets', { name, slug: name, signatureSpec: 'question -> answer' }), 201);
    const rows = Array.from({ length: count }, (_, n) =>
      JSON.stringify({ inputs: { question: `q ${n}` }, outputs: { answer: 'x' }, split: 'test' }),
    );
    demand(await stack.http.post(`/v1/datasets/${name}/examples:import`, rows.join('\n'), ndjson), 201);
    return name;
  };
  const reaches = (path: string, status: string): Promise<JsonObject> =>
    eventually(async () => {
      const found = demand(await get(path), 200);
      expect(found.status).toBe(status);
      return found;
    }, 20_000);
  const evaluate = async (program: string, dataset: string, more: JsonObject = {}): Promise<JsonObject> => {
    const body = { dataset, splits: ['test'], metric, ...more };
    const { id } = demand(await stack.http.post(`/v1/programs/${program}:evaluate`, body), 202);
    return reaches(`evaluations/${id}`, 'EVALUATION_STATUS_COMPLETED');
  };
  const resultsOf = async (id: unknown): Promise<unknown[]> =>
    (demand(await get(`evaluations/${id}/results`), 200).results ?? []) as unknown[];

  it('EXE-04 of evaluations leaves the newest of each measurement, without how its examples did, and gates open by it', async () => {
    const program = await ready();
    const dataset = await filled(5);
    demand(await stack.http.patch(`/v1/programs/${program}`, { configuration: { instructions: 'Another way.' } }), 200);
    const [first, again] = [
      await evaluate(program, dataset, { version: 2 }),
      await evaluate(program, dataset, { version: 2 }),
    ];
    const byOther = await evaluate(program, dataset, { version: 2, executionOptions: { engine: 'mock' } });
    await putBack(stack.databaseUrl, 2);
    const young = await evaluate(program, dataset, { version: 1 });
    await sweep();
    for (const { id } of [first, byOther]) {
      expect((await get(`evaluations/${id}`)).body).toMatchObject({ status: 404, reason: 'EVALUATION_NOT_FOUND' });
    }
    const {
      createTime: _,
      startTime: _s,
      endTime: _e,
      updateTime: _u,
      ...left
    } = demand(await get(`evaluations/${again.id}`), 200);
    expect(again).toMatchObject(left);
    expect([left.resultCount, await resultsOf(again.id)]).toEqual(['5', []]);
    const refused = await get(`evaluations:compare?a=${again.id}&b=${again.id}`);
    expect(refused.body).toMatchObject({ status: 409, reason: 'STATE_FORBIDS', metadata: { state: 'forgotten' } });
    expect(await resultsOf(young.id)).toHaveLength(5);
    demand(await get(`evaluations:compare?a=${young.id}&b=${young.id}`), 200);
    const gate = { dataset, splits: ['test'], metric, minScore: 0 };
    demand(await stack.http.patch(`/v1/programs/${program}`, { servingPolicy: { gate } }), 200);
    expect(demand(await stack.http.post(`/v1/programs/${program}/versions/2:promote`, {}), 200).servingVersion).toBe(2);
  });

  it('EXE-04 of batches goes whole, and items of one that is paused stay however old they are', async () => {
    const rows = (count: number) =>
      Array.from({ length: count }, (_, n) => `${JSON.stringify({ question: `q ${n}` })}\n`).join('');
    const upload = async (program: string, count: number): Promise<string> =>
      String(
        demand(
          await stack.http.send('POST', `/v1/batches:upload?program=${program}&concurrency=8`, rows(count), ndjson),
          201,
        ).id,
      );
    const ended = await upload(await ready(), 200);
    await reaches(`batches/${ended}`, 'BATCH_STATUS_COMPLETED');
    const paused = await upload(await ready({ latency_ms: 40 }), 300);
    await eventually(async () =>
      expect(Number((await get(`batches/${paused}`)).body.completedCount)).toBeGreaterThan(8),
    );
    demand(await stack.http.post(`/v1/batches/${paused}:pause`, {}), 200);
    const ran = `select count(*)::int as n from executor.executions where labels ->> 'batch' = $1`;
    await eventually(async () => {
      expect(await query(stack.databaseUrl, `${ran} and end_time is null`, [paused])).toEqual([{ n: 0 }]);
      const [chunks] = await query(
        stack.databaseUrl,
        `select count(*)::int as n from executor.batch_chunks where status = 'running'`,
      );
      expect(chunks).toEqual({ n: 0 });
    });
    const [done] = await query(stack.databaseUrl, ran, [paused]);
    await putBack(stack.databaseUrl, 2);
    await sweep();
    expect((await get(`batches/${ended}`)).body).toMatchObject({ status: 404, reason: 'BATCH_NOT_FOUND' });
    expect(await query(stack.databaseUrl, 'select distinct batch_id::text as id from executor.batch_chunks')).toEqual([
      { id: paused },
    ]);
    expect(await query(stack.databaseUrl, ran, [ended])).toEqual([{ n: 0 }]);
    const { items } = demand(await get(`batches/${paused}/items?status=completed&pageSize=1000`), 200);
    expect((items as JsonObject[]).filter(({ outputs }) => outputs !== undefined)).toHaveLength(Number(done!.n));
    demand(await stack.http.post(`/v1/batches/${paused}:resume`, {}), 200);
    await reaches(`batches/${paused}`, 'BATCH_STATUS_COMPLETED');
  });
});
