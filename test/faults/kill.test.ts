import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type DurablePostgres, startDurablePostgres } from '../support/durable-postgres.ts';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { workersOf } from '../support/processes.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** A lease is over after 10 s, and the reaper looks every second. */
const TAKEN_OVER_MS = 30_000;

const missing = whyNoPython();
if (missing !== undefined) console.warn(`killing processes is left out: ${missing}`);

describe.skipIf(missing !== undefined)('kill -9 while an execution works', { timeout: 120_000 }, () => {
  let postgres: DurablePostgres;
  let lm: ScriptedLm;
  let stack: Stack;
  let slug = '';
  let delayMs = 0;

  beforeAll(async () => {
    [postgres, lm] = await Promise.all([
      startDurablePostgres(),
      startScriptedLm({ behaviour: () => ({ kind: 'answer', delayMs }) }),
    ]);
    stack = await startStack({ engines: 'python', lm: lm.url, databaseUrl: postgres.url });
    slug = String((await readyProgram(stack, { adapterType: 'python_port' })).slug);
  }, 120_000);
  beforeEach(() => {
    lm.reset();
    delayMs = 2000;
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    await postgres?.close();
  }, 60_000);

  const create = async (executionOptions: JsonObject = {}): Promise<string> =>
    String(
      demand(await stack.http.post('/v1/executions', { program: slug, inputs: QA_INPUTS, executionOptions }), 202).id,
    );
  const attach = (executionOptions: JsonObject = {}): Promise<HttpAnswer> =>
    stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS, executionOptions });
  const working = (calls = 1): Promise<void> =>
    eventually(() => expect(lm.calls).toBeGreaterThanOrEqual(calls), 15_000);
  const hasEnded = (id: string, status: string): Promise<JsonObject> =>
    eventually(
      async () => {
        const row = demand(await stack.http.get(`/v1/executions/${id}`), 200);
        expect(row.status).toBe(`EXECUTION_STATUS_${status}`);
        return row;
      },
      TAKEN_OVER_MS,
      100,
    );
  const endsOf = (id: string): Promise<Record<string, unknown>[]> =>
    query(postgres.url, 'select status from executor.execution_ends where execution_id = $1', [id]);
  const newestRow = async (): Promise<string> => {
    const [row] = await query(postgres.url, 'select id from executor.executions order by id desc limit 1');
    return String(row?.id);
  };
  const ready = (): Promise<void> =>
    eventually(
      async () => {
        delayMs = 0;
        expect((await attach()).status).toBe(200);
        delayMs = 2000;
        lm.reset();
      },
      TAKEN_OVER_MS,
      200,
    );

  it('of the executor: a detached execution ends once, an attached one ends as WORKER_LOST', async () => {
    const detached = await create();
    await working();
    const attached = attach();
    await working(2);
    const lost = await eventually(newestRow);
    await stack.kill('executor');
    const answer = await attached;
    expect([answer.status, answer.headers['content-type']]).toEqual([503, expect.stringContaining('problem+json')]);
    await stack.restart('executor');
    const row = await hasEnded(detached, 'COMPLETED');
    expect(row.workerLosses).toBe(1);
    expect(await endsOf(detached)).toEqual([{ status: 'completed' }]);
    const failed = await hasEnded(lost, 'FAILED');
    expect((failed.error as JsonObject).reason).toBe('WORKER_LOST');
    expect(await endsOf(lost)).toEqual([{ status: 'failed' }]);
    // One of the detached execution, one of the attached one, one of the second try.
    expect(lm.calls).toBe(3);
    await ready();
  });

  it('of a worker: an execution that it had with others runs again alone, detached or attached', async () => {
    const detached = await create();
    await working();
    for (const pid of workersOf(stack.pid('sidecar'))) process.kill(pid, 'SIGKILL');
    await hasEnded(detached, 'COMPLETED');
    expect(await endsOf(detached)).toEqual([{ status: 'completed' }]);
    expect(lm.calls).toBe(2);
    await ready();
    // On Python alone: otherwise the native engine would take over.
    const attached = attach({ engine: 'python' });
    await working();
    for (const pid of workersOf(stack.pid('sidecar'))) process.kill(pid, 'SIGKILL');
    const answer = await attached;
    expect(answer.status).toBe(200);
    const row = await hasEnded(String(answer.body.executionId), 'COMPLETED');
    expect([row.attempts, row.workerLosses]).toEqual([2, 1]);
    expect(await endsOf(String(answer.body.executionId))).toEqual([{ status: 'completed' }]);
    expect(lm.calls).toBe(2);
    await ready();
  });

  it('of the sidecar: what is detached waits for it and ends once, what is attached is told', async () => {
    const detached = await create({ engine: 'python' });
    await working();
    await stack.kill('sidecar');
    await eventually(async () => {
      const refused = await attach({ engine: 'python' });
      expect([refused.status, ['ENGINE_UNAVAILABLE', 'WORKER_LOST'].includes(String(refused.body.reason))]).toEqual([
        503,
        true,
      ]);
    }, 10_000);
    await stack.restart('sidecar');
    await hasEnded(detached, 'COMPLETED');
    expect(await endsOf(detached)).toEqual([{ status: 'completed' }]);
    expect(lm.calls).toBe(2);
    await ready();
  });

  it('of Postgres: what was acknowledged is there and ends once, and nothing is acknowledged meanwhile', async () => {
    const detached = await Promise.all([create(), create(), create()]);
    await working(3);
    await postgres.kill();
    const refused = await stack.http.post(
      `/v1/programs/${slug}:execute`,
      { inputs: QA_INPUTS },
      { headers: { 'x-timeout-ms': '8000' } },
    );
    expect([503, 504]).toContain(refused.status);
    const unsaved = await stack.http.post(
      '/v1/executions',
      { program: slug, inputs: QA_INPUTS },
      { headers: { 'x-timeout-ms': '3000' } },
    );
    expect([503, 504]).toContain(unsaved.status);
    await postgres.restart();
    for (const id of detached) {
      await hasEnded(id, 'COMPLETED');
      expect(await endsOf(id)).toEqual([{ status: 'completed' }]);
    }
    await ready();
  });

  it('of the gateway: what it passed on goes on without it', async () => {
    const detached = await create();
    await working();
    await stack.kill('gateway');
    await stack.restart('gateway');
    await hasEnded(detached, 'COMPLETED');
    expect(lm.calls).toBe(1);
  });

  it('of the registry: serving goes on', async () => {
    delayMs = 0;
    expect((await attach()).status).toBe(200);
    await stack.kill('registry');
    for (let at = 0; at < 3; at += 1) expect((await attach()).status).toBe(200);
    await stack.restart('registry');
    await eventually(async () => expect((await stack.http.get(`/v1/programs/${slug}`)).status).toBe(200));
    await ready();
  });

  it('loses nothing that was acknowledged while everything is killed in turn', async () => {
    delayMs = 300;
    const ids: string[] = [];
    let going = true;
    const caller = async (): Promise<void> => {
      while (going) {
        const answer = await stack.http
          .post('/v1/executions', { program: slug, inputs: QA_INPUTS })
          .catch(() => undefined);
        if (answer?.status === 202) ids.push(String(answer.body.id));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const callers = [caller(), caller()];
    for (const name of ['executor', 'sidecar', 'gateway', 'executor'] as const) {
      const before = ids.length;
      await eventually(() => expect(ids.length).toBeGreaterThan(before + 5), 20_000);
      await stack.kill(name);
      await stack.restart(name);
    }
    going = false;
    await Promise.all(callers);
    expect(ids.length).toBeGreaterThan(20);
    await eventually(
      async () => {
        const open = await query(
          postgres.url,
          "select id from executor.executions where id = any($1) and status not in ('completed', 'failed')",
          [ids],
        );
        expect(open).toEqual([]);
      },
      60_000,
      500,
    );
    const ends = await query(
      postgres.url,
      'select execution_id, count(*)::int as n, min(status) as status from executor.execution_ends where execution_id = any($1) group by 1',
      [ids],
    );
    expect(ends).toHaveLength(ids.length);
    expect(ends.filter(({ n }) => n !== 1)).toEqual([]);
    expect(ends.filter(({ status }) => status !== 'completed')).toEqual([]);
  });
});
