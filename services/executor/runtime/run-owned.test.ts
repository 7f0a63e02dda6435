import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { type FakeRegistry, startFakeRegistry } from '../catalog/registry.fake.ts';
import { childId } from '../execution/child-id.ts';
import { cancelledFault } from '../execution/lease.postgres.ts';
import { callerContext, internalToken } from '../test-support/executor.ts';
import { createTestProcess, type TestProcess } from '../test-support/owned-deps.ts';
import { mockOf } from '../test-support/use-executor.ts';
import { type OwnedPlace, runOwned } from './run-owned.ts';

let database: TestDatabase;
let registry: FakeRegistry;
let sql: pg.Client;
const processes: TestProcess[] = [];

beforeAll(async () => {
  database = await createTestDatabase(['executor']);
  registry = await startFakeRegistry(internalToken);
  registry.put({ slug: 'qa', spec: 'q: str -> a: str' });
  registry.put({ slug: 'slow', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 60_000 }) });
  sql = new pg.Client(database.url);
  await sql.connect();
});

afterEach(async () => {
  await Promise.all(processes.splice(0).map((process) => process.close()));
});

afterAll(async () => {
  await sql.end();
  await registry.close();
  await database.drop();
});

function begin(): TestProcess {
  const process = createTestProcess(database.url, registry);
  processes.push(process);
  return process;
}

function run(process: TestProcess, place: OwnedPlace, program = 'qa', inputs = '{"q":"1"}', ctx = callerContext()) {
  const input = { program, inputs: { text: inputs }, options: {}, labels: {}, metadata: undefined };
  return runOwned(process, { ...place, input }, ctx);
}

async function row(id: string) {
  const { rows } = await sql.query('select * from executor.executions where id = $1', [id]);
  return rows[0];
}

async function becomesRunning(id: string) {
  await eventually(async () => expect((await row(id))?.status).toBe('running'));
}

describe('an owned execution', () => {
  it('EXE-10 is recorded as a step, runs at once and gives its end when that is committed', async () => {
    const process = begin();
    const parentId = newId();
    const id = childId(parentId, 'answer');
    const settled: string[] = [];
    const ending = await run(process, {
      id,
      parentId,
      step: 'answer',
      onSettled: ({ status }) => settled.push(status),
    });
    expect(ending).toMatchObject({ executionId: id, status: 'completed', metricsJson: expect.any(String) });
    expect(settled).toEqual(['completed']);
    expect(await row(id)).toMatchObject({
      ...{ status: 'completed', parent_id: parentId, step: 'answer', detached: true, attempts: 1 },
    });
    expect(childId(parentId, 'answer', 1)).not.toBe(id);
  });

  it('is never run twice under one id, and tells every owner the same', async () => {
    const [one, two] = [begin(), begin()];
    const id = newId();
    const first = await run(one, { id, isNew: true });
    expect(await run(two, { id })).toMatchObject({ executionId: id, outputsJson: first.outputsJson });
    expect(await run(one, { id }, 'qa', '{"q":"other"}')).toMatchObject({ outputsJson: first.outputsJson });
    expect(one.mock.runs + two.mock.runs).toBe(1);
  });

  it('belongs to one of two processes that begin it at the same moment', async () => {
    const [one, two] = [begin(), begin()];
    for (let turn = 0; turn < 20; turn++) {
      const id = newId();
      const endings = await Promise.all([
        run(one, { id, isNew: true }, 'qa', '{"q":"one"}'),
        run(two, { id, isNew: true }, 'qa', '{"q":"two"}'),
      ]);
      const { outputs } = await row(id);
      expect(endings.map(({ outputsJson }) => JSON.parse(outputsJson!))).toEqual([outputs, outputs]);
    }
    const { rows } = await sql.query('select execution_id from executor.execution_ends group by 1 having count(*) > 1');
    expect(rows).toEqual([]);
  });

  it('ends FAILED where its inputs do not fit, and throws where there is no such program', async () => {
    const process = begin();
    const id = newId();
    expect(await run(process, { id }, 'qa', '{"q":1}')).toMatchObject({
      status: 'failed',
      fault: { reason: 'INPUT_INVALID' },
    });
    expect(await run(process, { id }, 'qa')).toMatchObject({ fault: { reason: 'INPUT_INVALID' } });
    await expect(run(process, { id: newId() }, 'nobody')).rejects.toMatchObject({ reason: 'PROGRAM_NOT_FOUND' });
  });

  it('ends with its owner: cancelled, or when its time is over', async () => {
    const process = begin();
    const stop = new AbortController();
    const id = newId();
    const running = run(process, { id }, 'slow', undefined, callerContext({ signal: stop.signal }));
    await becomesRunning(id).catch(() => {});
    stop.abort(new AppError('CANCELLED', 'enough'));
    expect(await running).toMatchObject({ status: 'cancelled', fault: { reason: 'CANCELLED' } });
    expect(await run(process, { id: newId(), deadlineMs: Date.now() + 30 }, 'slow')).toMatchObject({
      status: 'failed',
      fault: { reason: 'DEADLINE_EXCEEDED' },
    });
  });

  it('goes on in the process that needs it when the one that began it is lost', async () => {
    const [lost, heir] = [begin(), begin()];
    const id = newId();
    const first = run(lost, { id }, 'slow');
    await becomesRunning(id);
    registry.change('slow', { configuration: mockOf({ latency_ms: 1 }) });
    await sql.query(`update executor.executions set lease_until = now() - interval '1 second' where id = $1`, [id]);
    await heir.housekeeper.tick();
    const ending = await run(heir, { id });
    expect(ending).toMatchObject({ status: 'completed' });
    expect(await row(id)).toMatchObject({ attempts: 2, worker_losses: 1 });
    await lost.housekeeper.tick();
    expect(await first).toMatchObject({ executionId: id, status: 'completed', outputsJson: ending.outputsJson });
    registry.change('slow', { configuration: mockOf({ latency_ms: 60_000 }) });
  });

  it('is handed back by a process that stops', async () => {
    const [leaving, heir] = [begin(), begin()];
    const id = newId();
    const left = run(leaving, { id }, 'slow').catch((error) => error);
    await becomesRunning(id);
    leaving.live.close();
    await leaving.runner.close(10);
    expect(await left).toMatchObject({ reason: 'SHUTTING_DOWN' });
    expect(await row(id)).toMatchObject({ status: 'pending', worker_losses: 0 });
    const stop = new AbortController();
    const taken = run(heir, { id }, 'slow', undefined, callerContext({ signal: stop.signal }));
    await becomesRunning(id);
    stop.abort(new AppError('CANCELLED', 'enough'));
    expect(await taken).toMatchObject({ status: 'cancelled' });
  });

  it('is cancelled with what it is a step of, whichever process runs it', async () => {
    const process = begin();
    const parent = newId();
    const steps = ['a', 'b'].map((step) => childId(parent, step));
    const running = [parent, ...steps].map((id) =>
      run(process, id === parent ? { id } : { id, parentId: parent, step: 'x' }, 'slow'),
    );
    await Promise.all([parent, ...steps].map(becomesRunning));
    await process.leases.cancel(parent, cancelledFault);
    expect((await row(steps[1]!)).cancel_requested).toBe(true);
    await (process.housekeeper as unknown as { renew(): Promise<void> }).renew();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual(['cancelled', 'cancelled', 'cancelled']);
  });
});
