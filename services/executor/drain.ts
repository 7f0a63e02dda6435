import type { GrpcServer } from '@signet/kit/grpc/server.ts';
import type { BatchRunner } from './batch/batch-runner.ts';
import type { EvaluationRunner } from './evaluation/evaluation-runner.ts';
import type { DetachedRunner } from './execution/detached-runner.ts';
import { cancelled } from './execution/housekeeper.ts';
import type { LiveExecutions } from './execution/live.ts';
import type { Gate } from './runtime/gate.ts';
import type { AttachedSessions } from './session/attached-sessions.grpc.ts';

/**
 * Tells callers to go elsewhere, gives what runs `graceMs` to end, hands detached executions back, and ends the rest. What was on its
 * way when we told them is still served: nobody is refused.
 */
export async function drain(
  server: GrpcServer,
  deps: {
    readonly gate: Gate;
    readonly runner: DetachedRunner;
    readonly live: LiveExecutions;
    readonly sessions: AttachedSessions;
    readonly evaluationRunner: EvaluationRunner;
    readonly batchRunner: BatchRunner;
  },
  graceMs: number,
): Promise<void> {
  server.setServing(false);
  deps.sessions.leave();
  const emptied = server.close(graceMs + 3_000);
  deps.live.close();
  const handedBack = Promise.all([
    deps.batchRunner.close(graceMs),
    deps.evaluationRunner.close(graceMs),
    deps.runner.close(graceMs),
  ]);
  const timer = setTimeout(() => {
    void deps.gate.close(0);
    // Not before detached ones are handed back: what is aborted under our lease would end.
    void handedBack.then(() => {
      for (const live of deps.live.all()) live.abort(cancelled());
    });
  }, graceMs);
  await Promise.all([emptied, handedBack]);
  clearTimeout(timer);
}
