import { newId } from '@signet/kit/id.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import {
  AddFeedbackRequest,
  RetryExecutionRequest,
  ExecutionServiceService as service,
} from '@signet/proto/gen/signet/v1/execution_service.ts';
import { ProgramConfiguration } from '@signet/proto/gen/signet/v1/program.ts';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import {
  callerContext,
  create,
  execute,
  json,
  plain,
  read,
  startTestExecutor,
  type TestExecutor,
  wait,
} from '../test-support/executor.ts';

const status = ExecutionStatus;
let database: TestDatabase;
let test: TestExecutor;
let sql: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase(['executor']);
  test = await startTestExecutor(database.url);
  sql = new pg.Client(database.url);
  await sql.connect();
  test.registry.put({ slug: 'qa', spec: 'q: str -> a: str' });
  test.registry.put({ slug: 'slow', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 60_000 }) });
});
afterAll(async () => {
  await sql?.end();
  await test?.close();
  await database?.drop();
});
beforeEach(() => test.mock.reset());

function mockOf(mock: Record<string, unknown>): ProgramConfiguration {
  return ProgramConfiguration.fromPartial({ module: 'predict', metadata: { mock } });
}

const asked = (n: number | string = 1) => json({ q: `${n}` });
const cancel = (execution: string, on = test) =>
  on.peer.unary(service.cancelExecution, { execution, requestId: '' }, callerContext());
const retry = (request: unknown) =>
  test.peer.unary(service.retryExecution, RetryExecutionRequest.fromPartial(request as never), callerContext());
const feedback = (request: unknown) =>
  test.peer.unary(service.addFeedback, AddFeedbackRequest.fromPartial(request as never), callerContext());

async function running(execution: string): Promise<void> {
  await eventually(async () => expect((await read(test, execution)).status).toBe(status.EXECUTION_STATUS_RUNNING));
}

describe('CancelExecution', () => {
  it('ends a running execution, and repeating it is no error', async () => {
    const { id } = await create(test, { program: 'slow', inputs: asked() });
    await running(id);
    const ended = await cancel(id);
    expect(ended).toMatchObject({
      status: status.EXECUTION_STATUS_CANCELLED,
      error: { reason: 'CANCELLED', category: 'cancelled' },
    });
    expect(await cancel(id)).toMatchObject({ status: status.EXECUTION_STATUS_CANCELLED, etag: ended.etag });
  });

  it('ends one that another process runs, and one that its caller waits for', async () => {
    const other = await startTestExecutor(database.url, { registry: test.registry });
    const waiting = execute(other, { program: 'slow', inputs: asked('elsewhere') }).catch((e) => e);
    let id = '';
    await eventually(async () => {
      const { rows } = await sql.query(
        `select id::text from executor.executions where status = 'running' and not detached`,
      );
      expect(rows).toHaveLength(1);
      id = rows[0].id;
    });
    const startMs = performance.now();
    expect(await cancel(id)).toMatchObject({ status: status.EXECUTION_STATUS_CANCELLED });
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect(await waiting).toMatchObject({ reason: 'CANCELLED', metadata: { executionId: id } });
    await other.close();
  });

  it('ends one that nobody has begun', async () => {
    const id = newId();
    await sql.query(
      `insert into executor.executions (id, program_id, slug, version, engine, detached, inputs, executed_at, status, cancel_requested)
       values ($1, $2, 'x', 1, 'mock', true, '{}', now(), 'pending', true)`,
      [id, newId()],
    );
    expect(await cancel(id)).toMatchObject({ status: status.EXECUTION_STATUS_CANCELLED });
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
    const made = await retry({ execution: before.executionId });
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
    await expect(retry({ execution: id })).rejects.toMatchObject(expected);
    await expect(feedback({ execution: id, label: 'good' })).rejects.toMatchObject(expected);
    const remove = () => test.peer.unary(service.deleteExecution, { execution: id, requestId: '' }, callerContext());
    await expect(remove()).rejects.toMatchObject(expected);
    await cancel(id);
    await remove();
    await expect(read(test, id)).rejects.toMatchObject({ reason: 'EXECUTION_NOT_FOUND' });
  });

  it('keeps feedback, and refuses what makes no sense', async () => {
    const { executionId: execution } = await execute(test, { program: 'qa', inputs: asked() });
    const requestId = newId();
    const given = { execution, score: 0.5, label: 'good', correctedOutputs: json({ a: 'better' }), requestId };
    const [kept, again] = await Promise.all([feedback(given), feedback(given)]);
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
      await expect(feedback({ execution, ...bad })).rejects.toMatchObject(invalid);
    }
  });
});
