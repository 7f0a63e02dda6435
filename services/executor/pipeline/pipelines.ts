import type { CallContext } from '@signet/kit/call-context.ts';
import type { PipelineFunction } from '@signet/pipeline/functions.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import type { Modules } from '../catalog/modules.ts';
import type { RegistryClient } from '../catalog/registry.grpc.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { Engine } from '../engine/engine.ts';
import type { RunOptions } from '../execution/execution.ts';
import type { Claim } from '../execution/lease.postgres.ts';
import type { ModuleDeps } from '../runtime/execute-module.ts';
import type { CallPlan } from '../runtime/plan-call.ts';
import type { OwnedDeps } from '../runtime/run-owned.ts';
import { createPipelineEngine } from './pipeline-engine.ts';
import { planClaimedStep } from './plan-step.ts';

/** What running pipelines needs. */
export type PipelineDeps = OwnedDeps &
  ModuleDeps & {
    readonly registry: RegistryClient;
    readonly modules: Modules;
    /** What function steps may call, by name. */
    readonly functions: ReadonlyMap<string, PipelineFunction>;
  };

/** How a run of a pipeline was asked for. */
export type PipelineCall = {
  readonly program: ServedProgram;
  readonly options: RunOptions;
  readonly principal: CallContext['principal'];
};

/** The way from plans of calls to pipelines. */
export type Pipelines = {
  /** The engine of one run of a pipeline. */
  engine(call: PipelineCall): Engine;
  /** Plans a step that no program stands behind and that another process has begun; undefined for any other execution. */
  planClaimed(
    claim: Pick<Claim, 'programId' | 'module' | 'options'>,
    ctx: LookupContext,
  ): Promise<Omit<CallPlan, PlanTexts> | undefined>;
};

type PlanTexts = 'optionsJson' | 'labelsJson' | 'metadataJson';

/** Makes it; pipelines run what calls run, so what they need is asked for when the first one runs. */
export function createPipelines(depsLater: () => PipelineDeps): Pipelines {
  return {
    engine: (call) => createPipelineEngine(depsLater(), call),
    planClaimed: (claim, ctx) => planClaimedStep(depsLater(), claim, ctx),
  };
}
