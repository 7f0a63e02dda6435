import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HttpAnswer } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { query } from '../support/query.ts';
import { startSecondExecutor } from '../support/second-executor.ts';
import type { ServiceProcess } from '../support/service-process.ts';
import { type Stack, startStack } from '../support/stack.ts';

const LEASE_MS = 10_000;
/** How long after a lease's end another executor must have taken the work over. */
const TAKEN_OVER_MS = 12_000;
/** Each executor runs no more at a time, so that there is work for both. */
const DETACHED_MAX = 5;

describe('two executors on one database', { timeout: 120_000 }, () => {
  let stack: Stack;
  let second: ServiceProcess | undefined;

  beforeAll(async () => {
    stack = await startStack({ engines: 'mock', env: { SIGNET_DETACHED_MAX: `${DETACHED_MAX}` } });
  }, 60_000);
  afterEach(async () => {
    const first = stack?.pid('executor');
    if (first) process.kill(first, 'SIGCONT');
    await second?.stop();
    second = undefined;
  }, 60_000);
  afterAll(() => stack?.close(), 60_000);

  const program = async (latencyMs: number): Promise<string> => {
    const configuration = { module: 'predict', metadata: { mock: { latency_ms: latencyMs } } };
    return String((await readyProgram(stack, { configuration })).slug);
  };
  const create = async (slug: string): Promise<string> =>
    String(demand(await stack.http.post('/v1/executions', { program: slug, inputs: QA_INPUTS }), 202).id);
  const attach = (slug: string): Promise<HttpAnswer> =>
    stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }, { headers: { 'x-timeout-ms': '60000' } });
  const rowOf = async (id: string): Promise<Record<string, unknown>> => {
    const [row] = await query(stack.databaseUrl, 'select * from executor.executions where id = $1', [id]);
    return row ?? {};
  };
  const endsOf = (id: string): Promise<Record<string, unknown>[]> =>
    query(
      stack.databaseUrl,
      'select status, lease_token from executor.execution_ends where execution_id = $1 order by at',
      [id],
    );
  const becomes = (id: string, fields: Record<string, unknown>, withinMs = 10_000): Promise<Record<string, unknown>> =>
    eventually(
      async () => {
        const row = await rowOf(id);
        expect(row).toMatchObject(fields);
        return row;
      },
      withinMs,
      50,
    );
  const attachedRow = (slug: string): Promise<string> =>
    eventually(async () => {
      const sql =
        "select id from executor.executions where slug = $1 and not detached and status = 'running' and lease_owner is not null";
      const [row] = await query(stack.databaseUrl, sql, [slug]);
      expect(row).toBeDefined();
      return String(row?.id);
    });
  const leftToOthers = (id: string): boolean =>
    stack
      .logs()
      .split('\n')
      .some((line) => line.includes(id) && line.includes('left to others') && line.includes('WORKER_LOST'));

  it('fence off one that was stopped past its lease: what the other ended or runs stays as the other has it', async () => {
    const [short, long] = await Promise.all([program(2000), program(7000)]);
    const [ended, running] = await Promise.all([create(short), create(long)]);
    const attached = attach(long);
    const lost = await attachedRow(long);
    for (const id of [ended, running]) await becomes(id, { status: 'running', lease_token: 1 });
    process.kill(stack.pid('executor'), 'SIGSTOP');
    second = await startSecondExecutor(stack);
    const before = await becomes(ended, { status: 'completed' }, LEASE_MS + TAKEN_OVER_MS + 2000);
    expect(before).toMatchObject({ lease_token: 2, attempts: 2, worker_losses: 1 });
    expect(before.outputs).toEqual({ answer: expect.any(String), confidence: expect.any(Number) });
    expect(await rowOf(running)).toMatchObject({ status: 'running', lease_token: 2 });
    const failed = await becomes(lost, { status: 'failed', error: { reason: 'WORKER_LOST' } });

    // Both runs of the stopped one are over as soon as it goes on: it tries to write their ends.
    process.kill(stack.pid('executor'), 'SIGCONT');
    await eventually(() => expect([ended, running].filter(leftToOthers)).toEqual([ended, running]));
    expect((await attached).status).toBeGreaterThanOrEqual(500);
    expect(await rowOf(running)).toMatchObject({ status: 'running', lease_token: 2 });
    await becomes(running, { status: 'completed', lease_token: 2, attempts: 2, worker_losses: 1 });
    expect([await rowOf(ended), await rowOf(lost)]).toEqual([before, failed]);
    for (const id of [ended, running]) expect(await endsOf(id)).toEqual([{ status: 'completed', lease_token: 2 }]);
    expect(await endsOf(lost)).toHaveLength(1);
    expect((await attach(short)).status).toBe(200);
  });

  it('share what is detached, and lose none of it when one is killed', async () => {
    second = await startSecondExecutor(stack, { SIGNET_DETACHED_MAX: `${DETACHED_MAX}` });
    const slug = await program(500);
    const ids = await Promise.all(Array.from({ length: 60 }, () => create(slug)));
    const ownersOf = async (): Promise<string[]> => {
      const sql =
        "select distinct lease_owner from executor.executions where id = any($1) and status = 'running' and lease_owner is not null";
      return (await query(stack.databaseUrl, sql, [ids])).map((row) => String(row.lease_owner));
    };
    const ends = (): Promise<Record<string, unknown>[]> =>
      query(
        stack.databaseUrl,
        'select execution_id, min(status) as status, count(*)::int as n from executor.execution_ends where execution_id = any($1) group by 1',
        [ids],
      );
    const owners = await eventually(async () => {
      const found = await ownersOf();
      expect(found).toHaveLength(2);
      return found;
    });
    // No more than one of them could have ended in that time.
    await eventually(async () => expect((await ends()).length).toBeGreaterThan(2 * DETACHED_MAX), 10_000, 20);
    await eventually(async () => expect((await ownersOf()).sort()).toEqual(owners.sort()), 10_000, 20);
    second.kill('SIGKILL');
    await second.ended;
    await eventually(async () => expect(await ends()).toHaveLength(60), LEASE_MS + TAKEN_OVER_MS + 10_000, 100);
    expect((await ends()).filter(({ n, status }) => n !== 1 || status !== 'completed')).toEqual([]);
    const [row] = await query(
      stack.databaseUrl,
      `select count(*) filter (where worker_losses > 0)::int as lost, max(worker_losses) as most from executor.executions
       where id = any($1) and status = 'completed'`,
      [ids],
    );
    expect(row?.most).toBe(1);
    expect(row?.lost).toBeGreaterThan(0);
    expect(row?.lost).toBeLessThanOrEqual(DETACHED_MAX);
  });
});
