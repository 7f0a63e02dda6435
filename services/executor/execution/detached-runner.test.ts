import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionStatus as status } from '@signet/proto/gen/signet/v1/execution.ts';
import { describe, expect, it } from 'vitest';
import { createTestDatabase } from '../../../test/support/database.ts';
import { createMockEngine } from '../engine/mock.ts';
import { create, execute, json, plain, read, startTestExecutor, wait } from '../test-support/executor.ts';
import { becomesRunning, cancel, mockOf, plainPrograms, useTestExecutor } from '../test-support/use-executor.ts';

const test = useTestExecutor(plainPrograms);

const asked = (n: number | string = 1) => json({ q: `${n}` });

describe('detached executions', () => {
  it('EXE-03 EXE-04 are committed as PENDING, then run to their end', async () => {
    const made = await create(test, { program: 'qa', inputs: asked(), labels: { team: 'red' } });
    expect(made).toMatchObject({
      status: status.EXECUTION_STATUS_PENDING,
      detached: true,
      outputs: undefined,
      labels: { team: 'red' },
    });
    const ended = await wait(test, made.id);
    expect(ended).toMatchObject({ status: status.EXECUTION_STATUS_COMPLETED, attempts: 1, workerLosses: 0 });
    expect(plain(ended.outputs)).toEqual({ a: expect.any(String) });
    expect(ended.startTime!.getTime()).toBeGreaterThanOrEqual(made.createTime!.getTime());
  });

  it('run 100 at a time, each once', async () => {
    const made = await Promise.all(
      Array.from({ length: 100 }, (_, n) => create(test, { program: 'qa', inputs: asked(n) })),
    );
    const ended = await Promise.all(made.map(({ id }) => wait(test, id)));
    expect(
      ended.every((execution) => execution.status === status.EXECUTION_STATUS_COMPLETED && execution.attempts === 1),
    ).toBe(true);
    expect(test.mock.runs).toBe(100);
  });

  it('C-4 refuse inputs that do not fit and leave a FAILED row', async () => {
    const error = await create(test, { program: 'qa', inputs: json({ q: 1 }) }).catch((e) => e);
    expect(error).toMatchObject({ reason: 'INPUT_INVALID' });
    expect(await read(test, error.metadata.executionId)).toMatchObject({
      status: status.EXECUTION_STATUS_FAILED,
      detached: true,
    });
  });

  it('are one for equal calls with one request_id', async () => {
    const request = { program: 'qa', inputs: asked('once'), requestId: newId() };
    const made = await Promise.all(Array.from({ length: 10 }, () => create(test, request)));
    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
    await expect(create(test, { ...request, labels: { a: 'b' } })).rejects.toMatchObject({
      reason: 'IDEMPOTENCY_KEY_REUSED',
    });
  });

  it.each(['SERVICE_UNAVAILABLE', 'DATABASE_UNAVAILABLE'] as const)(
    'wait for a registry that answers %s where only it knows the version',
    async (reason) => {
      const { programId } = test.registry.put({ slug: `away-${reason.toLowerCase()}`, spec: 'q: str -> a: str' });
      test.registry.refuse(new AppError(reason, 'not now'));
      const asked = test.registry.resolves;
      const id = newId();
      await test.sql.query(
        `insert into executor.executions (id, program_id, slug, version, engine, detached, inputs, executed_at)
         values ($1, $2, 'away', 2, 'mock', true, '{"q": "1"}', now())`,
        [id, programId],
      );
      await eventually(() => expect(test.registry.resolves).toBeGreaterThan(asked + 1));
      test.registry.change(`away-${reason.toLowerCase()}`, { version: 2, servingVersion: 2 });
      test.registry.refuse();
      expect((await wait(test, id)).status).toBe(status.EXECUTION_STATUS_COMPLETED);
    },
  );

  it('fail with the reason of their engine, and a read of them is no error', async () => {
    test.registry.put({
      slug: 'limited',
      spec: 'q: str -> a: str',
      configuration: mockOf({ error: 'LM_RATE_LIMITED' }),
    });
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
    const executor = await startTestExecutor(other.url, {
      registry: test.registry,
      parts: { engines: [engine], graceMs: 100 },
    });
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
    await becomesRunning(test, detached.id);
    await eventually(async () => {
      const { rows } = await test.sql.query(
        `select 1 from executor.executions where slug = 'slow' and not detached and status = 'running'`,
      );
      expect(rows).toHaveLength(1);
    });
    await test.sql.query(`update executor.executions set lease_until = now() - interval '1 second', lease_token = lease_token + 1
      where status = 'running'`);
    expect(await attached).toMatchObject({ reason: 'WORKER_LOST' });
    await eventually(async () => {
      const { rows } = await test.sql.query(
        'select status, worker_losses, attempts from executor.executions where id = $1',
        [detached.id],
      );
      expect(rows[0]).toEqual({ status: 'running', worker_losses: 1, attempts: 2 });
    });
    await eventually(async () => {
      const { rows } = await test.sql.query(
        `select status, error ->> 'reason' as reason from executor.executions where slug = 'slow' and not detached`,
      );
      expect(rows[0]).toEqual({ status: 'failed', reason: 'WORKER_LOST' });
    });
    await cancel(test, detached.id);
  });

  it('fail a detached execution that loses its process three times', async () => {
    const { id } = await create(test, { program: 'slow', inputs: asked('cursed') });
    for (let losses = 1; losses <= 3; losses++) {
      await eventually(async () => {
        const { rowCount } = await test.sql.query(
          `update executor.executions set lease_until = now() - interval '1 second', lease_token = lease_token + 1
           where id = $1 and status = 'running' and attempts = $2`,
          [id, losses],
        );
        expect(rowCount).toBe(1);
      }, 15_000);
    }
    const ended = await wait(test, id, 15_000);
    expect(ended).toMatchObject({
      status: status.EXECUTION_STATUS_FAILED,
      workerLosses: 3,
      error: { reason: 'WORKER_LOST' },
    });
  });

  it('are handed back at once by an executor that stops', async () => {
    const other = await startTestExecutor(test.databaseUrl, { registry: test.registry });
    const made = await Promise.all(
      Array.from({ length: 40 }, (_, n) => create(other, { program: 'slow', inputs: asked(`handed ${n}`) })),
    );
    const mine = async () => {
      const { rows } = await test.sql.query(
        'select lease_owner, count(*)::int as n from executor.executions where id = any($1::uuid[]) and status = $2 group by 1',
        [made.map(({ id }) => id), 'running'],
      );
      return rows;
    };
    await eventually(async () => expect((await mine()).reduce((sum, { n }) => sum + n, 0)).toBe(40));
    await other.close();
    await eventually(async () => {
      const owners = await mine();
      expect(owners).toHaveLength(1);
      expect(owners[0].n).toBe(40);
    }, 5000);
    const { rows } = await test.sql.query(
      'select max(worker_losses) as losses from executor.executions where id = any($1::uuid[])',
      [made.map(({ id }) => id)],
    );
    expect(rows[0].losses).toBe(0);
    await Promise.all(made.map(({ id }) => cancel(test, id)));
  });
});
