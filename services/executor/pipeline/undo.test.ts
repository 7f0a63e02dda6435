import { AppError } from '@signet/kit/error/app-error.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionStatus as status } from '@signet/proto/gen/signet/v1/execution.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { lostFault } from '../execution/lease.postgres.ts';
import { create, json, read, startTestExecutor, type TestExecutor, wait } from '../test-support/executor.ts';
import { failing, taking } from '../test-support/scripted-engine.ts';
import { cancel } from '../test-support/use-executor.ts';
import { ref, step, steps, usePipelines } from '../test-support/use-pipelines.ts';

// This one runs what is asked of it and takes nothing that waits.
const { test, engine, put, run, tree, running } = usePipelines({ detachedMax: 0 });
const { EXECUTION_STATUS_CANCELLED: CANCELLED, EXECUTION_STATUS_FAILED: FAILED } = status;

const heirs: TestExecutor[] = [];
afterEach(async () => {
  for (const heir of heirs.splice(0)) await heir.close();
});

/** Starts an executor that takes what was left. */
async function startHeir(graceMs = 300): Promise<TestExecutor> {
  const parts = { engines: [engine], graceMs };
  const heir = await startTestExecutor(test.databaseUrl, { registry: test.registry, parts });
  heirs.push(heir);
  return heir;
}

const undo = (of: string, more: Record<string, unknown> = {}) => ({
  undo: step(`undo_${of}`, { input: { x: ref(`steps.${of}.${of}`) }, ...more }),
});

const slowAfterTwo = () => [
  step('a', undo('a')),
  step('b', { needs: ['a'], ...undo('b') }),
  step('slow', { needs: ['b'], ...undo('slow') }),
  step('never', { needs: ['slow'] }),
];

/** Begins a run, waits until so many of its executions run, and takes them away from their process as its death would. */
async function begunAndLost(program: string, isThere: () => unknown): Promise<string> {
  const lost = run(program).catch((thrown) => thrown);
  await eventually(async () => isThere());
  await eventually(async () => expect(await running()).toBe(2));
  await test.sql.query(
    `update executor.executions set lease_until = now() + interval '1 minute', lease_token = lease_token + 1 where status = 'running'`,
  );
  expect(await lost).toMatchObject({ reason: 'WORKER_LOST' });
  engine.begun.length = 0;
  engine.acts.clear();
  return (await lost).metadata.executionId;
}

/** Asks for the end of a run that nobody can end yet; resolves when that is kept. */
async function cancelAsked(id: string) {
  const answer = cancel(test, id);
  await eventually(async () => {
    const { rows } = await test.sql.query('select cancel_requested from executor.executions where id = $1', [id]);
    expect(rows).toEqual([{ cancel_requested: true }]);
  });
  return { answer };
}

const expire = (losses?: number) =>
  test.sql.query(
    `update executor.executions set lease_until = now() - interval '1 second', lease_token = lease_token + 1,
       worker_losses = coalesce($1, worker_losses) where status = 'running'`,
    [losses ?? null],
  );

const ended = (id: string, as: status) =>
  eventually(async () => {
    const execution = await read(test, id);
    expect(execution.status).toBe(as);
    return execution;
  }, 40_000);

const statuses = async (id: string) =>
  Object.fromEntries((await tree(id)).children.map(({ execution }) => [execution!.step, execution!.status]));

describe('a pipeline that nobody runs any more', { timeout: 60_000 }, () => {
  it('PIP-07 is undone when it is cancelled while it waits for an executor, and runs no other step', async () => {
    engine.acts.set('slow', taking(60_000));
    const id = await begunAndLost(put(slowAfterTwo(), ref('steps.never')), () =>
      expect(engine.begun).toEqual(['a', 'b', 'slow']),
    );
    await test.sql.query(
      `update executor.executions set status = 'pending', lease_owner = null, lease_until = null where status = 'running'`,
    );
    const { answer } = await cancelAsked(id);
    await startHeir();
    expect(await answer).toMatchObject({ status: CANCELLED, error: { reason: 'CANCELLED' } });
    expect(engine.begun).toEqual(['undo_b', 'undo_a']);
    expect(await statuses(id)).toEqual({ a: 3, b: 3, slow: CANCELLED, undo_a: 3, undo_b: 3 });
    const made = await read(test, id);
    expect(made.metrics).toMatchObject({ lm_calls: 4, tokens_in: 40 });
    expect(JSON.stringify(made.metadata)).not.toContain('undo');
    expect(await cancel(test, id)).toMatchObject({ status: CANCELLED });
  });

  it('PIP-07 is undone when it is cancelled before anybody knows that its executor is dead', async () => {
    engine.acts.set('slow', taking(60_000));
    const id = await begunAndLost(put(slowAfterTwo(), ref('steps.never')), () =>
      expect(engine.begun).toEqual(['a', 'b', 'slow']),
    );
    expect(await cancel(test, id)).toMatchObject({ status: status.EXECUTION_STATUS_RUNNING });
    await startHeir();
    await expire();
    expect(await ended(id, CANCELLED)).toMatchObject({ error: { reason: 'CANCELLED' }, workerLosses: 1 });
    expect(engine.begun).toEqual(['undo_b', 'undo_a']);
  });

  it('PIP-07 is undone when it has lost its executor too often, and fails with what it would have failed with', async () => {
    engine.acts.set('slow', taking(60_000));
    const id = await begunAndLost(put(slowAfterTwo(), ref('steps.never')), () =>
      expect(engine.begun).toEqual(['a', 'b', 'slow']),
    );
    await startHeir();
    await test.sql.query(`update executor.executions set worker_losses = 2 where id = $1`, [id]);
    await expire();
    expect(await ended(id, FAILED)).toMatchObject({ workerLosses: 3 });
    const { rows } = await test.sql.query('select error from executor.executions where id = $1', [id]);
    expect(rows[0].error).toEqual(lostFault);
    expect(engine.begun).toEqual(['undo_b', 'undo_a']);
    expect(await statuses(id)).toEqual({ a: 3, b: 3, slow: FAILED, undo_a: 3, undo_b: 3 });
  });

  it('ends though every executor that undoes it is lost, after six losses', async () => {
    engine.acts.set('slow', taking(60_000));
    const id = await begunAndLost(put(slowAfterTwo(), ref('steps.never')), () =>
      expect(engine.begun).toEqual(['a', 'b', 'slow']),
    );
    engine.acts.set('undo_b', taking(60_000));
    await startHeir();
    await expire(2);
    for (const losses of [3, 4, 5]) {
      await eventually(async () => {
        const { rows } = await test.sql.query(
          `update executor.executions set lease_until = now() - interval '1 second', lease_token = lease_token + 1
           where id = $1 and status = 'running' and worker_losses = $2 returning id`,
          [id, losses],
        );
        expect(rows).toHaveLength(1);
      }, 10_000);
    }
    expect(await ended(id, FAILED)).toMatchObject({ workerLosses: 6, error: { reason: 'WORKER_LOST' } });
    expect(engine.begun).toEqual(['undo_b']);
    const left = (await tree(id)).children.find(({ execution }) => execution!.step === 'undo_b');
    expect(await cancel(test, left!.execution!.id)).toMatchObject({ status: CANCELLED });
  });

  it('ends at once when there is nothing to undo', async () => {
    engine.acts.set('slow', taking(60_000));
    const plain = put([step('a'), step('slow', { needs: ['a'] })], ref('steps.slow'));
    const id = await begunAndLost(plain, () => expect(engine.begun).toEqual(['a', 'slow']));
    const waiting = `update executor.executions set status = 'pending', lease_owner = null, lease_until = null where status = 'running'`;
    await test.sql.query(waiting);
    expect(await cancel(test, id)).toMatchObject({ status: CANCELLED });
    const undoable = put(slowAfterTwo(), ref('steps.never'));
    const made = await create(test, { program: undoable, inputs: json({ x: 'hello' }) });
    expect(await cancel(test, made.id)).toMatchObject({ status: CANCELLED, attempts: 0 });
    engine.acts.set('slow', taking(60_000));
    const lost = await begunAndLost(plain, () => expect(engine.begun).toContain('slow'));
    await expire(2);
    expect(await ended(lost, FAILED)).toMatchObject({ error: { reason: 'WORKER_LOST' }, attempts: 1 });
  });

  it('waits for a registry that is away when it is to be undone', async () => {
    engine.acts.set('slow', taking(60_000));
    const program = put(slowAfterTwo(), ref('steps.never'));
    const id = await begunAndLost(program, () => expect(engine.begun).toEqual(['a', 'b', 'slow']));
    test.registry.change(program, { version: 2, servingVersion: 2 });
    await startHeir();
    test.registry.refuse(new AppError('SERVICE_UNAVAILABLE', 'not now'));
    await cancel(test, id);
    const asked = test.registry.resolves;
    await expire();
    // Beyond the next renewal of its lease, by which its new owner hears of the cancel once more.
    await eventually(() => expect(test.registry.resolves).toBeGreaterThan(asked + 8), 15_000);
    expect(await read(test, id)).toMatchObject({ status: status.EXECUTION_STATUS_RUNNING });
    test.registry.refuse();
    test.registry.change(program, { version: 1, servingVersion: 1 });
    await ended(id, CANCELLED);
    expect(engine.begun).toEqual(['undo_b', 'undo_a']);
  });

  it('undoes nothing twice, and waits for an undo step that is under way', async () => {
    engine.acts.set('c', failing('LM_ERROR')).set('undo_a', taking(60_000));
    const why = { input: { x: ref('error.reason') } };
    const program = put(
      [step('a', undo('a', why)), step('b', { needs: ['a'], ...undo('b', why) }), step('c', { needs: ['b'] })],
      ref('steps.c'),
    );
    const id = await begunAndLost(program, async () => {
      const { rows } = await test.sql.query(
        `select step from executor.executions where status = 'running' and parent_id is not null`,
      );
      expect(rows).toEqual([{ step: 'undo_a' }]);
    });
    await startHeir();
    await cancelAsked(id);
    await expire();
    await ended(id, CANCELLED);
    expect(engine.begun).toEqual(['undo_a']);
    expect(await statuses(id)).toEqual({ a: 3, b: 3, c: FAILED, undo_a: 3, undo_b: 3 });
  });

  it('undoes in the order of the ends, of whichever process', async () => {
    engine.acts.set('a', taking(200)).set('c', taking(100)).set('slow', taking(60_000));
    const all = ['a', 'b', 'c'].map((id) => step(id, undo(id)));
    const program = put([...all, step('slow')], ref('steps.slow'));
    const id = await begunAndLost(program, () => expect(engine.running.now).toBe(1));
    await startHeir();
    await cancelAsked(id);
    await expire();
    await ended(id, CANCELLED);
    expect(engine.begun).toEqual(['undo_a', 'undo_c', 'undo_b']);
  });

  it('undoes what had ended behind a step that the failure keeps from being looked at again', async () => {
    engine.acts.set('bad', async (...given) => {
      await taking(150)(...given);
      throw new AppError('LM_ERROR', 'scripted');
    });
    engine.acts.set('undo_r', taking(60_000));
    const program = put(
      [step('bad'), ...['p', 'q', 'r'].map((id, at, all) => step(id, { needs: all.slice(0, at), ...undo(id) }))],
      ref('steps.bad'),
    );
    const id = await begunAndLost(program, () => expect(engine.begun).toContain('undo_r'));
    await startHeir();
    await expire();
    expect(await ended(id, FAILED)).toMatchObject({ error: { reason: 'LM_ERROR' } });
    expect(engine.begun).toEqual(['undo_r', 'undo_q', 'undo_p']);
  });
});

describe('a pipeline that is undone', { timeout: 60_000 }, () => {
  it('PIP-07 is undone to its end though it is cancelled meanwhile, at whichever executor', async () => {
    engine.acts.set('slow', failing('LM_ERROR')).set('undo_b', taking(1_500));
    const program = put(slowAfterTwo(), ref('steps.never'));
    const failed = run(program).catch((thrown) => thrown);
    await eventually(() => expect(engine.begun).toContain('undo_b'));
    const { rows } = await test.sql.query('select id from executor.executions where slug = $1', [program]);
    const other = await startHeir();
    await cancel(other, rows[0].id);
    expect((await failed).reason).toMatch(/CANCELLED|LM_ERROR/);
    expect(engine.begun).toEqual(['a', 'b', 'slow', 'undo_b', 'undo_a']);
    expect(await statuses(rows[0].id)).toMatchObject({ undo_a: 3, undo_b: 3 });
  });

  it('is undone by another executor when its own stops after the cancel', async () => {
    engine.acts.set('slow', taking(60_000)).set('undo_b', taking(60_000));
    const leaving = await startHeir(50);
    const made = await create(leaving, {
      program: put(slowAfterTwo(), ref('steps.never')),
      inputs: json({ x: 'hello' }),
    });
    await eventually(() => expect(engine.begun).toEqual(['a', 'b', 'slow']));
    const answer = cancel(test, made.id).catch((thrown) => thrown);
    await eventually(() => expect(engine.begun).toContain('undo_b'));
    await heirs.splice(0)[0]!.close();
    await answer;
    engine.begun.length = 0;
    engine.acts.clear();
    await startHeir();
    expect(await ended(made.id, CANCELLED)).toMatchObject({ workerLosses: 0 });
    expect(engine.begun).toEqual(['undo_b', 'undo_a']);
  });

  it('is not begun anew because a step of it loses its workers', async () => {
    engine.acts.set('poison', failing('WORKER_LOST'));
    const program = put([step('a', undo('a')), step('poison', { needs: ['a'] })], ref('steps.poison'));
    const heir = await startHeir();
    const made = await create(heir, { program, inputs: json({ x: 'hello' }) });
    const end = await wait(heir, made.id, 15_000);
    expect(end).toMatchObject({ status: FAILED, error: { reason: 'WORKER_LOST' } });
    expect(engine.begun.filter((name) => name !== 'poison')).toEqual(['a', 'undo_a']);
    expect(steps(await tree(made.id))).toEqual(['a', 'poison', 'undo_a']);
  });
});
