import type { GrpcServer } from '@signet/kit/grpc/server.ts';
import { BatchServiceService } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { EvaluationServiceService } from '@signet/proto/gen/signet/v1/evaluation_service.ts';
import { ExecutionServiceService } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { OptimizationServiceService } from '@signet/proto/gen/signet/v1/optimization_service.ts';
import { RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { batchHandlers } from './batch/rpc.ts';
import { createDatasetClient } from './dataset/datasets.grpc.ts';
import { createExampleImporter } from './dataset/example-import.grpc.ts';
import { createExampleSource } from './dataset/source.postgres.ts';
import { EvaluationRunner } from './evaluation/evaluation-runner.ts';
import { createEvaluationLeases } from './evaluation/lease.postgres.ts';
import { evaluationHandlers } from './evaluation/rpc.ts';
import { createEvaluationStore } from './evaluation/store.postgres.ts';
import type { DetachedRunner } from './execution/detached-runner.ts';
import { executionHandlers } from './execution/rpc.ts';
import { makeBatching } from './make-batching.ts';
import type { ExecutorDeps } from './make-deps.ts';
import type { Workers } from './make-engines.ts';
import type { Ground } from './open-ground.ts';
import { openJobQueue } from './optimization/queue.ts';
import { createOptimizationRegistry } from './optimization/registry.grpc.ts';
import { optimizationHandlers } from './optimization/rpc.ts';
import { createOptimizationDeps } from './optimization/start-optimizing.ts';
import { runtimeHandlers } from './runtime/rpc.ts';
import { AttachedSessions, attachedSession } from './session/attached-sessions.grpc.ts';

// Each runs many examples at once.
const evaluationsMax = 4;

type ServiceGround = Pick<Ground, 'log' | 'database' | 'peer'> &
  Pick<Workers, 'reading' | 'optimizing'> & { readonly databaseUrl: string };

/** Adds every service to the server. Gives what works behind them, not started yet. */
export async function addServices(
  server: GrpcServer,
  ground: ServiceGround,
  deps: ExecutorDeps & { readonly runner: DetachedRunner },
) {
  const { log, database, peer, reading, optimizing, databaseUrl } = ground;
  const { owner } = deps;
  const importing = { exampleSource: createExampleSource(database), exampleImporter: createExampleImporter(peer) };
  server.add(ExecutionServiceService, executionHandlers({ ...deps, ...importing }));
  const evaluating = {
    ...{ ...deps, reading, datasets: createDatasetClient(peer) },
    evaluationStore: createEvaluationStore(database),
    evaluationLeases: createEvaluationLeases(database, owner),
  };
  const evaluationRunner = new EvaluationRunner(evaluating, evaluationsMax);
  server.add(EvaluationServiceService, evaluationHandlers({ ...evaluating, evaluationRunner }));
  server.add(RuntimeServiceService, runtimeHandlers({ ...evaluating, evaluationRunner }));
  const jobQueue = await openJobQueue({ log }, databaseUrl);
  const optimizations = createOptimizationRegistry(peer);
  const jobDeps = createOptimizationDeps({ database, owner, jobQueue, optimizations });
  const optimizationDeps = { ...evaluating, evaluationRunner, ...jobDeps, optimizing };
  server.add(OptimizationServiceService, optimizationHandlers(optimizationDeps));
  const batching = makeBatching(database, { ...deps, datasets: evaluating.datasets });
  server.add(BatchServiceService, batchHandlers(batching));
  const sessions = new AttachedSessions({ carried: (path) => server.carried(path) });
  server.addDuplex(attachedSession, (stream) => sessions.serve(stream));
  return { evaluationRunner, optimizationDeps, batchRunner: batching.batchRunner, sessions };
}
