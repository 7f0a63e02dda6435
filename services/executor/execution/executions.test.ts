import { newId } from '@signet/kit/id.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { type ExecutionEvent, ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import {
  AddFeedbackRequest,
  ListExecutionsRequest,
  RetryExecutionRequest,
  ExecutionServiceService as service,
} from '@signet/proto/gen/signet/v1/execution_service.ts';
import { ProgramConfiguration } from '@signet/proto/gen/signet/v1/program.ts';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { createMockEngine } from '../engine/mock.ts';
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
const list = (request: unknown) =>
  test.peer.unary(service.listExecutions, ListExecutionsRequest.fromPartial(request as never), callerContext());
const retry = (request: unknown) =>
  test.peer.unary(service.retryExecution, RetryExecutionRequest.fromPartial(request as never), callerContext());
const feedback = (request: unknown) =>
  test.peer.unary(service.addFeedback, AddFeedbackRequest.fromPartial(request as never), callerContext());

async function running(execution: string): Promise<void> {
  await eventually(async () => expect((await read(test, execution)).status).toBe(status.EXECUTION_STATUS_RUNNING));
}

describe('detached executions', () => {
  it('EXE-03 EXE-04 are committed as PENDING, then run to their end', async () => {
    const made = await create(test, { program: 'qa', inputs: asked(), labels: { team: 'red' } });
    expect(made).toMatchObject({ status: status.EXECUTION_STATUS_PENDING, detached: true, outputs: undefined, labels: { team: 'red' } });
    const ended = await wait(test, made.id);
    expect(ended).toMatchObject({ status: status.EXECUTION_STATUS_COMPLETED, attempts: 1, workerLosses: 0 });
    expect(plain(ended.outputs)).toEqual({ a: expect.any(String) });
    expect(ended.startTime!.getTime()).toBeGreaterThanOrEqual(made.createTime!.getTime());
  });

  it('run 100 at a time, each once', async () => {
    const made = await Promise.all(Array.from({ length: 100 }, (_, n) => create(test, { program: 'qa', inputs: asked(n) })));
    const ended = await Promise.all(made.map(({ id }) => wait(test, id)));
    expect(ended.every((execution) => execution.status === status.EXECUTION_STATUS_COMPLETED && execution.attempts === 1)).toBe(true);
    expect(test.mock.runs).toBe(100);
  });

  it('C-4 refuse inputs that do not fit and leave a FAILED row', async () => {
    const error = await create(test, { program: 'qa', inputs: json({ q: 1 }) }).catch((e) => e);
    expect(error).toMatchObject({ reason: 'INPUT_INVALID' });
    expect(await read(test, error.metadata.executionId)).toMatchObject({ status: status.EXECUTION_STATUS_FAILED, detached: true });
  });

  it('are one for equal calls with one request_id', async () => {
    const request = { program: 'qa', inputs: asked('once'), requestId: newId() };
    const made = await Promise.all(Array.from({ length: 10 }, () => create(test, request)));
    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
    await expect(create(test, { ...request, labels: { a: 'b' } })).rejects.toMatchObject({ reason: 'IDEMPOTENCY_KEY_REUSED' });
  });

  it('fail with the reason of their engine, and a read of them is no error', async () => {
    test.registry.put({ slug: 'limited', spec: 'q: str -> a: str', configuration: mockOf({ error: 'LM_RATE_LIMITED' }) });
    const ended = await wait(test, (await create(test, { program: 'limited', inputs: asked() })).id);
    expect(ended.error).toMatchObject({ reason: 'LM_RATE_LIMITED', category: 'lm', retryable: true });
    expect(ended.errorMessage).toBe(ended.error?.message);
  });

  it('wait for an engine that is away, and survive the loss of a worker', async () => {
    const failures = ['ENGINE_UNAVAILABLE', 'WORKER_LOST'] as const;
    let runs = 0;
    const inner = createMockEngine();
    const engine: typeof inner = {
      ...inner,
      runs: 0,
      async run(...given) {
        const reason = failures[runs++];
        if (reason !== undefined) throw new AppError(reason, 'away');
        return inner.run(...given);
      },
    };
    const other = await createTestDatabase(['executor']);
    const executor = await startTestExecutor(other.url, { registry: test.registry, parts: { engines: [engine], graceMs: 100 } });
    const made = await create(executor, { program: 'qa', inputs: asked() });
    expect(await wait(executor, made.id)).toMatchObject({
      status: status.EXECUTION_STATUS_COMPLETED,
      attempts: 2,
      workerLosses: 1,
    });
    runs = 1;
    const attached = await execute(executor, { program: 'qa', inputs: asked() }).catch((e) => e);
    expect(attached).toMatchObject({ reason: 'WORKER_LOST' });
    await executor.close();
    await other.drop();
  });
});

describe('leases', () => {
  it('hand what a lost process left behind to another, and fail what its caller waited for', async () => {
    const detached = await create(test, { program: 'slow', inputs: asked() });
    const attached = execute(test, { program: 'slow', inputs: asked('attached') }).catch((e) => e);
    await running(detached.id);
    await eventually(async () => {
      const { rows } = await sql.query(`select 1 from executor.executions where slug = 'slow' and not detached and status = 'running'`);
      expect(rows).toHaveLength(1);
    });
    await sql.query(`update executor.executions set lease_until = now() - interval '1 second', lease_token = lease_token + 1
      where status = 'running'`);
    expect(await attached).toMatchObject({ reason: 'WORKER_LOST' });
    await eventually(async () => {
      const { rows } = await sql.query('select status, worker_losses, attempts from executor.executions where id = $1', [detached.id]);
      expect(rows[0]).toEqual({ status: 'running', worker_losses: 1, attempts: 2 });
    });
    await eventually(async () => {
      const { rows } = await sql.query(`select status, error ->> 'reason' as reason from executor.executions where slug = 'slow' and not detached`);
      expect(rows[0]).toEqual({ status: 'failed', reason: 'WORKER_LOST' });
    });
    await cancel(detached.id);
  });

  it('fail a detached execution that loses its process three times', async () => {
    const { id } = await create(test, { program: 'slow', inputs: asked('cursed') });
    for (let losses = 1; losses <= 3; losses++) {
      await eventually(async () => {
        const { rowCount } = await sql.query(
          `update executor.executions set lease_until = now() - interval '1 second', lease_token = lease_token + 1
           where id = $1 and status = 'running' and attempts = $2`,
          [id, losses],
        );
        expect(rowCount).toBe(1);
      }, 15_000);
    }
    const ended = await wait(test, id, 15_000);
    expect(ended).toMatchObject({ status: status.EXECUTION_STATUS_FAILED, workerLosses: 3, error: { reason: 'WORKER_LOST' } });
  });

  it('are handed back at once by an executor that stops', async () => {
    const other = await startTestExecutor(database.url, { registry: test.registry });
    const made = await Promise.all(Array.from({ length: 40 }, (_, n) => create(other, { program: 'slow', inputs: asked(`handed ${n}`) })));
    const mine = async () => {
      const { rows } = await sql.query('select lease_owner, count(*)::int as n from executor.executions where id = any($1::uuid[]) and status = $2 group by 1', [
        made.map(({ id }) => id),
        'running',
      ]);
      return rows;
    };
    await eventually(async () => expect((await mine()).reduce((sum, { n }) => sum + n, 0)).toBe(40));
    await other.close();
    await eventually(async () => {
      const owners = await mine();
      expect(owners).toHaveLength(1);
      expect(owners[0].n).toBe(40);
    }, 5000);
    const { rows } = await sql.query('select max(worker_losses) as losses from executor.executions where id = any($1::uuid[])', [
      made.map(({ id }) => id),
    ]);
    expect(rows[0].losses).toBe(0);
    await Promise.all(made.map(({ id }) => cancel(id)));
  });
});

describe('CancelExecution', () => {
  it('ends a running execution, and repeating it is no error', async () => {
    const { id } = await create(test, { program: 'slow', inputs: asked() });
    await running(id);
    const ended = await cancel(id);
    expect(ended).toMatchObject({ status: status.EXECUTION_STATUS_CANCELLED, error: { reason: 'CANCELLED', category: 'cancelled' } });
    expect(await cancel(id)).toMatchObject({ status: status.EXECUTION_STATUS_CANCELLED, etag: ended.etag });
  });

  it('ends one that another process runs, and one that its caller waits for', async () => {
    const other = await startTestExecutor(database.url, { registry: test.registry });
    const waiting = execute(other, { program: 'slow', inputs: asked('elsewhere') }).catch((e) => e);
    let id = '';
    await eventually(async () => {
      const { rows } = await sql.query(`select id::text from executor.executions where status = 'running' and not detached`);
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

describe('reads', () => {
  it.each(['', 'x', '../../etc', newId(), newId().toUpperCase(), 'a\u0000b'])('answers EXECUTION_NOT_FOUND for %j', async (id) => {
    const expected = { reason: 'EXECUTION_NOT_FOUND' };
    await expect(read(test, id)).rejects.toMatchObject(expected);
    await expect(wait(test, id, 10)).rejects.toMatchObject(expected);
    await expect(cancel(id)).rejects.toMatchObject(expected);
    await expect(retry({ execution: id })).rejects.toMatchObject(expected);
    await expect(test.peer.unary(service.deleteExecution, { execution: id, requestId: '' }, callerContext())).rejects.toMatchObject(expected);
    await expect(feedback({ execution: id, label: 'x' })).rejects.toMatchObject(expected);
  });

  it('EXE-07 EXE-08 EXE-09 lists by program, status, label and time, page by page, newest first', async () => {
    const listed = test.registry.put({ slug: 'listed', spec: 'q: str -> a: str' });
    for (let n = 0; n < 7; n++) await execute(test, { program: 'listed', inputs: asked(n), labels: { n: `${n % 2}` } });
    await execute(test, { program: 'listed', inputs: json({}) }).catch(() => {});
    const first = await list({ program: 'listed', pageSize: 5 });
    const second = await list({ program: 'listed', pageSize: 5, pageToken: first.nextPageToken });
    expect([first.executions.length, second.executions.length, second.nextPageToken]).toEqual([5, 3, '']);
    const ids = [...first.executions, ...second.executions].map(({ id }) => id);
    expect(ids).toEqual([...ids].sort().reverse());
    const count = async (request: object) => (await list({ program: 'listed', ...request })).executions.length;
    expect(await count({ filter: 'status = failed' })).toBe(1);
    expect(await count({ filter: 'status = EXECUTION_STATUS_COMPLETED AND labels.n = "1"' })).toBe(3);
    expect(await count({ filter: 'inserted_at > "2001-01-01T00:00:00Z" AND NOT status = failed' })).toBe(7);
    expect(await count({ filter: 'inserted_at < "2001-01-01T00:00:00Z"' })).toBe(0);
    expect(await count({ status: status.EXECUTION_STATUS_FAILED })).toBe(1);
    expect(await count({ filter: `program_id = "${listed.programId}"` })).toBe(8);
    const oldest = await list({ program: 'listed', orderBy: 'inserted_at', pageSize: 1 });
    expect(oldest.executions[0]!.id).toBe(ids.at(-1));
    const recent = await test.peer.unary(service.recentExecutions, { limit: 3 }, callerContext());
    expect(recent.executions.map(({ id }) => id)).toEqual(ids.slice(0, 3));
    const foreign = list({ program: 'listed', filter: 'status = failed', pageToken: first.nextPageToken });
    await expect(foreign).rejects.toMatchObject({ reason: 'PAGE_TOKEN_INVALID' });
  });

  it.each([
    [{ pageSize: -1 }, 'INVALID_REQUEST'],
    [{ filter: 'status == failed' }, 'FILTER_SYNTAX'],
    [{ filter: `status = 'x'; drop table executor.executions` }, 'FILTER_SYNTAX'],
    [{ orderBy: 'id; drop table x' }, 'INVALID_REQUEST'],
    [{ pageToken: 'AAAA' }, 'PAGE_TOKEN_INVALID'],
    [{ program: 'nobody' }, 'PROGRAM_NOT_FOUND'],
    [{ status: 99 }, 'INVALID_REQUEST'],
  ])('refuses to list with %j', async (request, reason) => {
    await expect(list(request)).rejects.toMatchObject({ reason });
  });

  it('EXE-08 refuses a negative limit', async () => {
    const refused = test.peer.unary(service.recentExecutions, { limit: -1 }, callerContext());
    await expect(refused).rejects.toMatchObject({ reason: 'INVALID_REQUEST' });
  });

  it('answers the present state when the time to wait is over', async () => {
    const { id } = await create(test, { program: 'slow', inputs: asked() });
    expect((await wait(test, id, 100)).status).not.toBe(status.EXECUTION_STATUS_COMPLETED);
    await cancel(id);
  });
});

describe('WatchExecution', () => {
  const watch = async (execution: string, afterSequence = 0n, ctx = callerContext()) => {
    const events: ExecutionEvent[] = [];
    for await (const event of test.peer.stream(service.watchExecution, { execution, afterSequence }, ctx)) events.push(event);
    return events;
  };
  const shape = ({ sequence, event }: ExecutionEvent) =>
    `${sequence} ${event?.$case}${event?.$case === 'state' ? ` ${event.value.status}` : ''}`;

  it('tells the states of an ended execution from the beginning or from after a sequence', async () => {
    const { executionId } = await execute(test, { program: 'qa', inputs: asked() });
    const events = await watch(executionId);
    expect(events.map(shape)).toEqual(['1 state 1', '2 state 2', '3 state 3', '4 result']);
    expect((await watch(executionId, 2n)).map(shape)).toEqual(['3 state 3', '4 result']);
    expect(await watch(executionId, 4n)).toEqual([]);
  });

  it('tells a failure as the last event', async () => {
    const error = await execute(test, { program: 'qa', inputs: json({}) }).catch((e) => e);
    const last = (await watch(error.metadata.executionId)).at(-1)!.event;
    expect(last).toMatchObject({ $case: 'error', value: { code: 3, message: error.message } });
  });

  it('tells what happens to one that runs, its text included, in order', async () => {
    test.registry.put({ slug: 'watched', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 400 }) });
    const { id } = await create(test, { program: 'watched', inputs: asked() });
    const events = await watch(id);
    const sequences = events.map(({ sequence }) => Number(sequence));
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
    expect(events.at(-1)?.event?.$case).toBe('result');
    const again = await watch(id);
    expect(again.map(shape).filter((line) => line.includes('step'))).toEqual(events.map(shape).filter((line) => line.includes('step')));
  });

  it('refuses a negative sequence and ends with its caller', async () => {
    const { id } = await create(test, { program: 'slow', inputs: asked() });
    await expect(watch(id, -1n)).rejects.toMatchObject({ reason: 'INVALID_REQUEST' });
    const controller = new AbortController();
    const watching = watch(id, 0n, callerContext({ signal: controller.signal })).catch((e) => e);
    setTimeout(() => controller.abort(), 100);
    expect(await watching).toBeInstanceOf(Error);
    await cancel(id);
  });
});

describe('RetryExecution, AddFeedback, DeleteExecution', () => {
  it('repeats the inputs of an ended execution as a new one', async () => {
    const before = await execute(test, { program: 'qa', inputs: asked('again'), metadata: { ticket: 1 }, labels: { a: 'b' } });
    const made = await retry({ execution: before.executionId });
    expect(made).toMatchObject({ status: status.EXECUTION_STATUS_PENDING, retriedFrom: before.executionId, labels: { a: 'b' } });
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
