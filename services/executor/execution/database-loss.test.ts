import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import { ProgramConfiguration } from '@signet/proto/gen/signet/v1/program.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { type DatabaseProxy, startDatabaseProxy } from '../test-support/database-proxy.ts';
import {
  callerContext,
  create,
  execute,
  json,
  read,
  startTestExecutor,
  type TestExecutor,
  wait,
} from '../test-support/executor.ts';

describe('while Postgres is away', { timeout: 60_000 }, () => {
  let database: TestDatabase;
  let way: DatabaseProxy;
  let test: TestExecutor;

  beforeAll(async () => {
    database = await createTestDatabase(['executor']);
    way = await startDatabaseProxy(database.url);
    test = await startTestExecutor(way.url);
    const metadata = { mock: { latency_ms: 2500 } };
    const configuration = ProgramConfiguration.fromPartial({ module: 'predict', metadata });
    test.registry.put({ slug: 'qa', spec: 'q: str -> a: str' });
    test.registry.put({ slug: 'slow', spec: 'q: str -> a: str', configuration });
  });
  afterAll(async () => {
    await test?.close();
    await way?.close();
    await database?.drop();
  });

  it('a detached execution ends once when it is back, and no attached call is answered as done', async () => {
    const { id } = await create(test, { program: 'slow', inputs: json({ q: 'detached' }) });
    const outcome = execute(test, { program: 'slow', inputs: json({ q: 'attached' }) }).then(
      ({ executionId }) => executionId,
      () => undefined,
    );
    await eventually(() => expect(test.mock.runs).toBe(2));
    await way.cut();
    const late = callerContext({ deadlineMs: Date.now() + 15_000 });
    const refused = execute(test, { program: 'qa', inputs: json({ q: 'away' }) }, late).catch((error) => error);
    await expect(read(test, id)).rejects.toMatchObject({ reason: 'DATABASE_UNAVAILABLE' });
    await expect(create(test, { program: 'qa', inputs: json({ q: 'x' }), requestId: 'once' })).rejects.toMatchObject({
      reason: 'DATABASE_UNAVAILABLE',
    });
    expect(await refused).toMatchObject({
      reason: 'DATABASE_UNAVAILABLE',
      metadata: { executionId: expect.any(String) },
    });
    await way.restore();
    await eventually(() => read(test, id), 15_000);
    const ended = await wait(test, id, 20_000);
    expect(ended.status).toBe(ExecutionStatus.EXECUTION_STATUS_COMPLETED);
    // Whatever the waiting caller was told is what stands in the database.
    const answered = await outcome;
    if (answered !== undefined) {
      expect((await read(test, answered)).status).toBe(ExecutionStatus.EXECUTION_STATUS_COMPLETED);
    }
    await expect(execute(test, { program: 'qa', inputs: json({ q: 'back' }) })).resolves.toHaveProperty('executionId');
  });
});
