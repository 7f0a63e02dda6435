import { newId } from '@signet/kit/id.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionStatus as status } from '@signet/proto/gen/signet/v1/execution.ts';
import { ExecutionServiceService as service } from '@signet/proto/gen/signet/v1/execution_service.ts';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import {
  callerContext,
  create,
  execute,
  json,
  plain,
  read,
  startTestExecutor,
  wait,
} from '../test-support/executor.ts';
import {
  becomesRunning,
  cancel,
  feedback,
  plainPrograms,
  retry,
  useTestExecutor,
} from '../test-support/use-executor.ts';

const test = useTestExecutor(plainPrograms);

const asked = (n: number | string = 1) => json({ q: `${n}` });

describe('CancelExecution', () => {
  it('ends a running execution, and repeating it is no error', async () => {
    const { id } = await create(test, { program: 'slow', inputs: asked() });
    await becomesRunning(test, id);
    const ended = await cancel(test, id);
    expect(ended).toMatchObject({
      status: status.EXECUTION_STATUS_CANCELLED,
      error: { reason: 'CANCELLED', category: 'cancelled' },
    });
    expect(await cancel(test, id)).toMatchObject({ status: status.EXECUTION_STATUS_CANCELLED, etag: ended.etag });
  });

  it('ends one that another process runs, and one that its caller waits for', async () => {
    const other = await startTestExecutor(test.databaseUrl, { registry: test.registry });
    const waiting = execute(other, { program: 'slow', inputs: asked('elsewhere') }).catch((e) => e);
    let id = '';
    await eventually(async () => {
      const { rows } = await test.sql.query(
        `select id::text from executor.executions where status = 'running' and not detached`,
      );
      expect(rows).toHaveLength(1);
      id = rows[0].id;
    });
    const startMs = performance.now();
    expect(await cancel(test, id)).toMatchObject({ status: status.EXECUTION_STATUS_CANCELLED });
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect(await waiting).toMatchObject({ reason: 'CANCELLED', metadata: { executionId: id } });
    await other.close();
  });

  it('ends one that nobody has begun', async () => {
    const id = newId();
    await test.sql.query(
      `insert into executor.executions (id, program_id, slug, version, engine, detached, inputs, executed_at, status, cancel_requested)
       values ($1, $2, 'x', 1, 'mock', true, '{}', now(), 'pending', true)`,
      [id, newId()],
    );
    expect(await cancel(test, id)).toMatchObject({ status: status.EXECUTION_STATUS_CANCELLED });
  });
});

describe('CancelExecution of what is just being claimed', () => {
  it('reaches whoever claims it', async () => {
    const id = newId();
    await test.sql.query(
      `insert into executor.executions (id, program_id, slug, version, engine, detached, inputs, executed_at, status)
       values ($1, $2, 'x', 1, 'mock', false, '{}', now(), 'pending')`,
      [id, newId()],
    );
    const claimer = new pg.Client(test.databaseUrl);
    await claimer.connect();
    await claimer.query('begin');
    await claimer.query(
      `update executor.executions set status = 'running', lease_until = now() + interval '1 minute' where id = $1`,
      [id],
    );
    const answer = cancel(test, id);
    await eventually(async () => {
      const { rows } = await test.sql.query(
        `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      expect(rows).toHaveLength(1);
    });
    await claimer.query('commit');
    await claimer.end();
    expect(await answer).toMatchObject({ status: status.EXECUTION_STATUS_RUNNING });
    const { rows } = await test.sql.query('select cancel_requested from executor.executions where id = $1', [id]);
    expect(rows).toEqual([{ cancel_requested: true }]);
  });
});

describe('RetryExecution, AddFeedback, DeleteExecution', () => {
  it('repeats the inputs of an ended execution as a new one', async () => {
    const before = await execute(test, {
      program: 'qa',
      inputs: asked('again'),
      metadata: { ticket: 1 },
      labels: { a: 'b' },
    });
    const made = await retry(test, { execution: before.executionId });
    expect(made).toMatchObject({
      status: status.EXECUTION_STATUS_PENDING,
      retriedFrom: before.executionId,
      labels: { a: 'b' },
    });
    const ended = await wait(test, made.id);
    expect(plain(ended.outputs)).toEqual(plain(before.outputs));
    expect(ended.metadata).toMatchObject({ ticket: 1 });
  });

  it('refuse what still runs', async () => {
    const { id } = await create(test, { program: 'slow', inputs: asked() });
    const expected = { reason: 'STATE_FORBIDS' };
    await expect(retry(test, { execution: id })).rejects.toMatchObject(expected);
    await expect(feedback(test, { execution: id, label: 'good' })).rejects.toMatchObject(expected);
    const remove = () => test.peer.unary(service.deleteExecution, { execution: id, requestId: '' }, callerContext());
    await expect(remove()).rejects.toMatchObject(expected);
    await cancel(test, id);
    await remove();
    await expect(read(test, id)).rejects.toMatchObject({ reason: 'EXECUTION_NOT_FOUND' });
  });

  it('keeps feedback, and refuses what makes no sense', async () => {
    const { executionId: execution } = await execute(test, { program: 'qa', inputs: asked() });
    const requestId = newId();
    const given = { execution, score: 0.5, label: 'good', correctedOutputs: json({ a: 'better' }), requestId };
    const [kept, again] = await Promise.all([feedback(test, given), feedback(test, given)]);
    expect(kept).toMatchObject({ executionId: execution, score: 0.5, label: 'good' });
    expect(plain(kept.correctedOutputs)).toEqual({ a: 'better' });
    expect(again.id).toBe(kept.id);
    const invalid = { reason: 'INVALID_REQUEST' };
    for (const bad of [
      {},
      { score: 2 },
      { score: Number.NaN },
      { label: 'x'.repeat(101) },
      { comment: 'a\u0000' },
      { correctedOutputs: json({ b: 1 }) },
      { correctedOutputs: json('{') },
    ]) {
      await expect(feedback(test, { execution, ...bad })).rejects.toMatchObject(invalid);
    }
  });
});
