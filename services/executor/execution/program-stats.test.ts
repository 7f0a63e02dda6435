import { ExecutionServiceService as executions } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { describe, expect, it } from 'vitest';
import { callerContext, execute, json } from '../test-support/executor.ts';
import { useTestExecutor } from '../test-support/use-executor.ts';

const test = useTestExecutor();

describe('statistics of a program', () => {
  it('QUA-05 C-6 PRG-16 counts 200 parallel executions exactly', async () => {
    const program = test.registry.put({ slug: 'counted', spec: 'q: str -> a: str' });
    await Promise.all(
      Array.from({ length: 200 }, (_, n) => execute(test, { program: 'counted', inputs: json({ q: `${n}` }) })),
    );
    await execute(test, { program: 'counted', inputs: json({}) }).catch(() => {});
    const stats = await test.peer.unary(executions.getProgramStats, { program: 'counted' }, callerContext());
    expect(stats).toMatchObject({
      id: program.programId,
      name: 'counted',
      executionCount: 200n,
      dspyProgramId: 'mock-prepared',
    });
    expect(stats.lastExecutedAt).toBeInstanceOf(Date);
    const figures = await test.peer.unary(
      executions.getProgramStatistics,
      { program: 'counted', version: 0 },
      callerContext(),
    );
    expect(figures).toMatchObject({ totalExecutions: 201n, successfulExecutions: 200n, failedExecutions: 1n });
    expect(figures.successRate).toBeCloseTo(200 / 201);
    const { rows } = await test.sql.query(`select count(*)::int as ends, count(distinct execution_id)::int as once
      from executor.execution_ends x join executor.executions e on e.id = x.execution_id where e.slug = 'counted'`);
    expect(rows[0]).toEqual({ ends: 201, once: 201 });
  });

  it('PRG-25 gives zeros for a program that never ran', async () => {
    test.registry.put({ slug: 'idle', spec: 'q -> a' });
    const figures = await test.peer.unary(
      executions.getProgramStatistics,
      { program: 'idle', version: 0 },
      callerContext(),
    );
    expect(figures).toEqual({
      totalExecutions: 0n,
      successfulExecutions: 0n,
      failedExecutions: 0n,
      successRate: 0,
      averageDurationMs: 0,
    });
    const stats = await test.peer.unary(executions.getProgramStats, { program: 'idle' }, callerContext());
    expect(stats).toMatchObject({ executionCount: 0n, lastExecutedAt: undefined });
  });
});
