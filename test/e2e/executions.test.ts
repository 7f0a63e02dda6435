import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_INPUTS, readyProgram, uniqueName } from '../support/programs.ts';
import { query } from '../support/query.ts';
import { type Stack, startStack } from '../support/stack.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const ENDED = ['EXECUTION_STATUS_COMPLETED', 'EXECUTION_STATUS_FAILED', 'EXECUTION_STATUS_CANCELLED'];

let stack: Stack;
let slug = '';
let programId = '';
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
  const program = await readyProgram(stack);
  slug = String(program.slug);
  programId = String(program.id);
});
afterAll(() => stack?.close());

const run = async (program = slug, more: JsonObject = {}): Promise<JsonObject> =>
  demand(await stack.http.post(`/v1/programs/${program}:execute`, { inputs: QA_INPUTS, ...more }), 200);
const read = async (id: unknown): Promise<JsonObject> => demand(await stack.http.get(`/v1/executions/${id}`), 200);

describe('executions', () => {
  it('EXE-01 carries inputs, outputs, state, duration, error, time, metadata and its program', async () => {
    const row = await read((await run()).executionId);
    expect(row).toMatchObject({
      programId,
      program: slug,
      version: 1,
      status: 'EXECUTION_STATUS_COMPLETED',
      inputs: QA_INPUTS,
      outputs: { answer: expect.any(String), confidence: expect.any(Number) },
      metadata: expect.any(Object),
    });
    expect(row.id).toMatch(UUID_V7);
    expect(row.errorMessage ?? '').toBe('');
    expect(row.error ?? null).toBeNull();
    for (const time of [row.executedAt, row.startTime, row.endTime, row.createTime])
      expect(Date.parse(String(time))).toBeGreaterThan(0);
    for (const missing of [{ program: slug }, { inputs: QA_INPUTS }]) {
      expect((await stack.http.post('/v1/executions', missing)).status).toBeGreaterThanOrEqual(400);
    }
  });

  it('EXE-02, EXE-15 carries trace and metrics, in order', async () => {
    const row = await read((await run()).executionId);
    const trace = row.trace as JsonObject[];
    expect(trace.length).toBeGreaterThanOrEqual(1);
    expect(trace[0]).toMatchObject({
      step: expect.any(String),
      implementation: expect.any(String),
      started_at: expect.any(String),
      duration_ms: expect.any(Number),
    });
    const metrics = row.metrics as JsonObject;
    for (const name of ['tokens_in', 'tokens_out', 'lm_calls', 'queue_ms', 'engine_ms', 'attempts']) {
      expect([name, typeof metrics[name]]).toEqual([name, 'number']);
    }
  });

  it('EXE-03 passes through pending and running to one end', async () => {
    const accepted = await stack.http.post('/v1/executions', { program: slug, inputs: QA_INPUTS });
    expect(accepted.body.status).toBe('EXECUTION_STATUS_PENDING');
    const stream = await stack.sse(`/v1/executions/${accepted.body.id}:watch`);
    const states = (await Array.fromAsync(stream.events))
      .filter(({ event }) => event === 'state')
      .map(({ data }) => data.status);
    expect(states[0]).toBe('EXECUTION_STATUS_PENDING');
    expect(states).toContain('EXECUTION_STATUS_RUNNING');
    expect(states.at(-1)).toBe('EXECUTION_STATUS_COMPLETED');
    expect(new Set(states).size).toBe(states.length);
  });

  it('EXE-04 creates without waiting, at a time of its own, and keeps metadata and labels', async () => {
    const before = Date.now() - 1000;
    const body = { program: programId, inputs: QA_INPUTS, metadata: { who: 'test' }, labels: { run: 'one' } };
    const accepted = await stack.http.post('/v1/executions', body);
    expect(accepted.status).toBe(202);
    expect(accepted.headers.location).toBe(`/v1/executions/${accepted.body.id}`);
    const ended = demand(await stack.http.get(`/v1/executions/${accepted.body.id}:wait`), 200);
    expect(ended).toMatchObject({
      status: 'EXECUTION_STATUS_COMPLETED',
      detached: true,
      labels: { run: 'one' },
      metadata: { who: 'test' },
    });
    expect(Date.parse(String(ended.executedAt))).toBeGreaterThan(before);
    expect(Date.parse(String(ended.executedAt))).toBeLessThan(Date.now() + 1000);
  });

  it('EXE-05, EXE-06 ends once: ended rows refuse every change, in the database itself', async () => {
    const { executionId } = await run();
    for (const change of ["status = 'failed'", "outputs = '{}'", 'duration_ms = 1', "status = 'running'"]) {
      await expect(
        query(stack.databaseUrl, `update executor.executions set ${change} where id = $1`, [executionId]),
      ).rejects.toThrow();
    }
    const ends = await query(stack.databaseUrl, 'select status from executor.execution_ends where execution_id = $1', [
      executionId,
    ]);
    expect(ends).toHaveLength(1);
    const cancelled = demand(await stack.http.post(`/v1/executions/${executionId}:cancel`), 200);
    expect(cancelled.status).toBe('EXECUTION_STATUS_COMPLETED');
  });

  it('EXE-07 lists those of one program', async () => {
    const other = await readyProgram(stack);
    const ids = [(await run(String(other.slug))).executionId, (await run(String(other.slug))).executionId];
    const listed = demand(await stack.http.get(`/v1/programs/${other.slug}/executions`), 200)
      .executions as JsonObject[];
    expect(listed.map(({ id }) => id)).toEqual(ids.toReversed());
    const unknown = await stack.http.get('/v1/programs/nobody-knows-me/executions');
    expect(unknown.body.reason).toBe('PROGRAM_NOT_FOUND');
  });

  it('EXE-08 lists the newest first, 50 unless said, 500 at most', async () => {
    const last = (await run()).executionId;
    await Promise.all(Array.from({ length: 55 }, () => run()));
    const recent = demand(await stack.http.get('/v1/executions:recent'), 200).executions as JsonObject[];
    expect(recent).toHaveLength(50);
    const times = recent.map(({ executedAt }) => Date.parse(String(executedAt)));
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    const two = demand(await stack.http.get('/v1/executions:recent?limit=2'), 200).executions as JsonObject[];
    expect(two).toHaveLength(2);
    const many = demand(await stack.http.get('/v1/executions:recent?limit=100000'), 200).executions as JsonObject[];
    expect(many.map(({ id }) => id)).toContain(last);
    for (let at = 0; at < 10; at += 1) await Promise.all(Array.from({ length: 45 }, () => run()));
    const most = demand(await stack.http.get('/v1/executions:recent?limit=100000'), 200).executions as JsonObject[];
    expect(most).toHaveLength(500);
    expect((await stack.http.get('/v1/executions:recent?limit=-1')).status).toBe(400);
    expect((await stack.http.get('/v1/executions:recent?limit=x')).status).toBe(400);
  });

  it('EXE-09 filters by program and state, sorts and limits, all at once', async () => {
    const other = await readyProgram(stack);
    for (let at = 0; at < 3; at += 1) await run(String(other.slug));
    await stack.http.post(`/v1/programs/${other.slug}:execute`, { inputs: {} });
    const filter = encodeURIComponent(`program_id = "${other.id}" AND status = completed`);
    const listed = demand(
      await stack.http.get(`/v1/executions?filter=${filter}&orderBy=inserted_at%20desc&pageSize=2`),
      200,
    );
    const rows = listed.executions as JsonObject[];
    expect(rows).toHaveLength(2);
    expect(rows.every((row) => row.programId === other.id && row.status === 'EXECUTION_STATUS_COMPLETED')).toBe(true);
    const rest = demand(
      await stack.http.get(
        `/v1/executions?filter=${filter}&orderBy=inserted_at%20desc&pageSize=2&pageToken=${listed.nextPageToken}`,
      ),
      200,
    );
    expect(rest.executions).toHaveLength(1);
    expect(rest.nextPageToken ?? '').toBe('');
    const failed = demand(await stack.http.get(`/v1/executions?program=${other.slug}&status=failed`), 200)
      .executions as JsonObject[];
    expect(failed).toHaveLength(1);
    const since = encodeURIComponent('create_time > "2999-01-01T00:00:00Z"');
    expect(demand(await stack.http.get(`/v1/executions?filter=${since}`), 200).executions ?? []).toEqual([]);
    const foreign = await stack.http.get(`/v1/executions?pageToken=${listed.nextPageToken}`);
    expect(foreign.body.reason).toBe('PAGE_TOKEN_INVALID');
  });

  it('EXE-12 is the one way in: one row a run, with what was decided for it, timed on a steady clock', async () => {
    const other = await readyProgram(stack);
    const ran = await run(String(other.slug), { executionOptions: { timeoutMs: 9000 } });
    const rows = await query(stack.databaseUrl, 'select id from executor.executions where program_id = $1', [other.id]);
    expect(rows).toEqual([{ id: ran.executionId }]);
    const row = await read(ran.executionId);
    expect(row.metadata).toEqual({ adapter_type: 'mock', options: { timeout_ms: 9000 } });
    expect(Number(row.durationMs ?? 0)).toBeGreaterThanOrEqual(0);
    expect(Number(row.durationMs ?? 0)).toBeLessThan(5000);
  });

  it('PRG-14 counts each run once, with the time of the last one', async () => {
    const other = await readyProgram(stack);
    for (let at = 0; at < 4; at += 1) await run(String(other.slug));
    await stack.http.post(`/v1/programs/${other.slug}:execute`, { inputs: {} });
    const stats = demand(await stack.http.get(`/v1/programs/${other.id}/stats`), 200);
    expect(stats.executionCount).toBe('4');
    const completed = demand(
      await stack.http.get(`/v1/programs/${other.id}/executions?status=completed&pageSize=1`),
      200,
    );
    // The failed run came later and moved neither figure.
    expect(stats.lastExecutedAt).toBe((completed.executions as JsonObject[])[0]?.endTime);
  });

  it('PRG-16 gives exactly its seven figures, read afresh', async () => {
    const other = await readyProgram(stack);
    await run(String(other.slug));
    const stats = demand(await stack.http.get(`/v1/programs/${other.slug}/stats`), 200);
    expect(Object.keys(stats).toSorted()).toEqual([
      'adapterType',
      'dspyProgramId',
      'executionCount',
      'id',
      'lastExecutedAt',
      'name',
      'status',
    ]);
    expect(stats).toMatchObject({
      id: other.id,
      name: other.name,
      status: 'PROGRAM_STATUS_READY',
      dspyProgramId: other.dspyProgramId,
    });
    expect((await stack.http.get('/v1/programs/nobody-knows-me/stats')).body.reason).toBe('PROGRAM_NOT_FOUND');
  });

  it('PRG-25 sums up all executions, and gives zeros where there are none', async () => {
    const idle = await createProgram(stack);
    const none = demand(await stack.http.get(`/v1/programs/${idle.slug}/statistics`), 200);
    for (const name of [
      'totalExecutions',
      'successfulExecutions',
      'failedExecutions',
      'successRate',
      'averageDurationMs',
    ]) {
      expect([name, Number(none[name] ?? 0)]).toEqual([name, 0]);
    }
    const other = await readyProgram(stack);
    for (let at = 0; at < 3; at += 1) await run(String(other.slug));
    await stack.http.post(`/v1/programs/${other.slug}:execute`, { inputs: {} });
    const sums = demand(await stack.http.get(`/v1/programs/${other.slug}/statistics`), 200);
    expect([sums.totalExecutions, sums.successfulExecutions, sums.failedExecutions, sums.successRate]).toEqual([
      '4',
      '3',
      '1',
      0.75,
    ]);
    const [mean] = await query(
      stack.databaseUrl,
      'select avg(duration_ms)::float8 as ms from executor.executions where program_id = $1',
      [other.id],
    );
    expect(Number(sums.averageDurationMs)).toBeCloseTo(Number(mean?.ms), 3);
  });

  it('DOM-03 gives every resource its UUIDv7 and its times', async () => {
    const signatures = demand(await stack.http.get('/v1/signatures'), 200).signatures as JsonObject[];
    const programs = demand(await stack.http.get('/v1/programs'), 200).programs as JsonObject[];
    const keys = demand(await stack.http.get('/v1/apiKeys'), 200).apiKeys as JsonObject[];
    for (const resource of [signatures[0], programs[0], keys[0], await read((await run()).executionId)]) {
      expect(resource?.id).toMatch(UUID_V7);
      expect(Date.parse(String(resource?.createTime))).toBeGreaterThan(0);
      expect(Date.parse(String(resource?.updateTime))).toBeGreaterThan(0);
    }
    const filter = encodeURIComponent('inserted_at > "2020-01-01T00:00:00Z" AND updated_at > "2020-01-01T00:00:00Z"');
    for (const list of ['programs', 'executions']) {
      expect(demand(await stack.http.get(`/v1/${list}?filter=${filter}&pageSize=1`), 200)[list]).toHaveLength(1);
    }
  });

  it('waits, retries, takes feedback and deletes', async () => {
    const { executionId } = await run();
    const retried = await stack.http.post(`/v1/executions/${executionId}:retry`);
    expect(retried.status).toBe(202);
    const ended = demand(await stack.http.get(`/v1/executions/${retried.body.id}:wait?timeoutMs=10000`), 200);
    expect([ended.status, ended.retriedFrom, ended.inputs]).toEqual([
      'EXECUTION_STATUS_COMPLETED',
      executionId,
      QA_INPUTS,
    ]);
    const path = `/v1/executions/${executionId}:feedback`;
    const given = demand(
      await stack.http.post(path, { score: 0.5, label: 'good', correctedOutputs: { answer: 'Ada', confidence: 1 } }),
      200,
    );
    expect(given).toMatchObject({ executionId, score: 0.5, label: 'good' });
    for (const bad of [
      {},
      { score: 2 },
      { score: -0.1 },
      { label: 'x'.repeat(101) },
      { correctedOutputs: { answer: 7 } },
    ]) {
      expect([bad, (await stack.http.post(path, bad)).status]).toEqual([bad, 400]);
    }
    expect((await stack.http.delete(`/v1/executions/${executionId}`)).status).toBeLessThan(300);
    const gone = await stack.http.get(`/v1/executions/${executionId}`);
    expect([gone.status, gone.body.reason]).toEqual([404, 'EXECUTION_NOT_FOUND']);
    for (const id of ['nothing', '0', '%00', uniqueName('x'), '018f0000-0000-7000-8000-000000000000']) {
      expect([400, 404]).toContain((await stack.http.get(`/v1/executions/${id}`)).status);
    }
  });

  it('tells who comes late what happened before, and goes on after Last-Event-ID', async () => {
    const { body } = await stack.http.post('/v1/executions', { program: slug, inputs: QA_INPUTS });
    await stack.http.get(`/v1/executions/${body.id}:wait`);
    const all = await Array.fromAsync((await stack.sse(`/v1/executions/${body.id}:watch`)).events);
    expect(all.at(-1)?.event).toBe('result');
    const second = all[1]?.id ?? '';
    const rest = await Array.fromAsync(
      (await stack.sse(`/v1/executions/${body.id}:watch`, undefined, { headers: { 'last-event-id': second } })).events,
    );
    expect(rest.every(({ id }) => Number(id) > Number(second))).toBe(true);
    expect(rest.at(-1)?.event).toBe('result');
  });

  it('answers inputs that do not fit a detached execution as an attached one does', async () => {
    const refused = await stack.http.post('/v1/executions', { program: slug, inputs: { question: 7 } });
    expect([refused.status, refused.body.reason]).toEqual([400, 'INPUT_INVALID']);
    const row = await read((refused.body.metadata as JsonObject).executionId);
    expect(ENDED).toContain(row.status);
  });
});
