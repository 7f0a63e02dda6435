import type {
  ExecutionAggregate as WireAggregate,
  SignatureUsage as WireUsage,
} from '@signet/proto/gen/signet/v1/execution_service.ts';
import type { SignatureUsage } from './signature-usage.ts';

type Aggregate = SignatureUsage['executions'];

/** Writes executions in figures. */
export function toWireAggregate(figures: Aggregate): WireAggregate {
  const { total, completed, failed, cancelled, tokensIn, tokensOut, lmCalls, cost, firstAt, lastAt } = figures;
  return {
    totalExecutions: total,
    completedExecutions: completed,
    failedExecutions: failed,
    cancelledExecutions: cancelled,
    successRate: successRate(figures),
    avgLatency: BigInt(Math.round(figures.averageMs)),
    p50DurationMs: figures.p50Ms,
    p95DurationMs: figures.p95Ms,
    p99DurationMs: figures.p99Ms,
    ...{ tokensIn, tokensOut, lmCalls, cost },
    firstExecutedAt: firstAt,
    lastExecutedAt: lastAt,
  };
}

/** Writes who uses a signature. */
export function toWireUsage({ signatureId, moduleCount, programCount, executions }: SignatureUsage): WireUsage {
  return {
    ...{ signatureId, moduleCount, programCount },
    executionCount: executions.total,
    successRate: successRate(executions),
    avgDurationMs: executions.averageMs,
    lastUsedAt: executions.lastAt,
  };
}

function successRate({ completed, failed }: Aggregate): number {
  const ended = completed + failed;
  return ended === 0n ? 0 : Number(completed) / Number(ended);
}
