import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import {
  AddFeedbackRequest,
  ExecutionServiceService as executions,
  RetryExecutionRequest,
} from '@signet/proto/gen/signet/v1/execution_service.ts';
import { ProgramConfiguration } from '@signet/proto/gen/signet/v1/program.ts';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import type { ExecutorParts } from '../app.ts';
import type { FakeProgram } from '../catalog/registry.fake.ts';
import type { ExecutorConfig } from '../config.ts';
import { callerContext, read, startTestExecutor, type TestExecutor } from './executor.ts';

/** The executor of a test file, and the way to its database. */
export type UsedExecutor = TestExecutor & { readonly databaseUrl: string; readonly sql: pg.Client };

/** Gives a test file an executor with these programs and a database of its own; it stands from before the first test to after the last one. */
export function useTestExecutor(
  programs: readonly FakeProgram[] = [],
  parts?: ExecutorParts,
  config?: Partial<ExecutorConfig>,
): UsedExecutor {
  const test = {} as UsedExecutor;
  let database: TestDatabase | undefined;
  let sql: pg.Client | undefined;
  let started: TestExecutor | undefined;
  beforeAll(async () => {
    database = await createTestDatabase(['executor']);
    started = await startTestExecutor(database.url, { parts, config });
    sql = new pg.Client(database.url);
    await sql.connect();
    for (const program of programs) started.registry.put(program);
    Object.assign(test, started, { sql, databaseUrl: database.url });
  });
  afterAll(async () => {
    await sql?.end();
    await started?.close();
    await database?.drop();
  });
  beforeEach(() => test.mock.reset());
  return test;
}

/** The configuration of a program that the mock engine runs as told: latency_ms, error, prepare_error. */
export function mockOf(mock: Record<string, unknown>): ProgramConfiguration {
  return ProgramConfiguration.fromPartial({ module: 'predict', metadata: { mock } });
}

/** The programs of the tests of single executions: `slow` takes as long as a minute. */
export const plainPrograms: readonly FakeProgram[] = [
  { slug: 'qa', spec: 'q: str -> a: str' },
  { slug: 'slow', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 60_000 }) },
];

/** Asks for the end of an execution. */
export function cancel(test: TestExecutor, execution: string) {
  return test.peer.unary(executions.cancelExecution, { execution, requestId: '' }, callerContext());
}

/** Asks for an execution once more. */
export function retry(test: TestExecutor, request: unknown) {
  return test.peer.unary(
    executions.retryExecution,
    RetryExecutionRequest.fromPartial(request as never),
    callerContext(),
  );
}

/** Says what an execution was worth. */
export function feedback(test: TestExecutor, request: unknown) {
  return test.peer.unary(executions.addFeedback, AddFeedbackRequest.fromPartial(request as never), callerContext());
}

/** Waits until an execution runs. */
export async function becomesRunning(test: TestExecutor, execution: string): Promise<void> {
  await eventually(async () =>
    expect((await read(test, execution)).status).toBe(ExecutionStatus.EXECUTION_STATUS_RUNNING),
  );
}
