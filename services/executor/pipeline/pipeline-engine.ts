import { invariant } from '@signet/kit/error/app-error.ts';
import { isObject, type JsonObject } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { Engine, EngineRun, Prepared, RunContext } from '../engine/engine.ts';
import { allSteps } from './all-steps.ts';
import { PipelineRun } from './pipeline-run.ts';
import type { PipelineCall, PipelineDeps } from './pipelines.ts';
import { programOf } from './plan-child.ts';
import { notBegun } from './step-failure.ts';

/**
 * The engine of one run of a pipeline: its steps are owned executions, so that a run that begins anew goes on behind what was kept. It runs
 * in this process, hence `native`, and `mock` where the program is a mock.
 */
export function createPipelineEngine(deps: PipelineDeps, call: PipelineCall): Engine {
  const name = call.program.adapterType === 'mock' || call.options.engine === 'mock' ? 'mock' : 'native';
  let runs = 0;
  return {
    name,
    settlesItself: true,
    ready: () => true,
    prepare: (_program, ctx) => prepare(deps, { ...call, isMock: name === 'mock' }, ctx),
    run: (_program, inputs, _inputsJson, ctx) =>
      run(deps, { ...call, isMock: name === 'mock', isAgain: runs++ > 0 || (ctx.attempts ?? 1) > 1 }, inputs, ctx),
    close: async () => {},
  };
}

async function run(
  deps: PipelineDeps,
  call: PipelineCall & { readonly isMock: boolean; readonly isAgain: boolean },
  inputs: JsonObject,
  ctx: RunContext,
): Promise<EngineRun> {
  const { pipeline } = call.program;
  invariant(pipeline !== undefined, 'only pipelines come here');
  const known = call.isAgain ? await deps.store.children(ctx.executionId) : [];
  const running = new PipelineRun(deps, { ...call, pipeline, inputs, known }, ctx);
  const value = await running.run();
  return {
    outputsJson: writeJson(isObject(value) ? value : new Map([['result', value]])),
    ...{ lmCalls: 0, tokensIn: 0, tokensOut: 0, queueMs: 0, worker: '' },
    pipeline: { steps: running.stepCount, degraded: running.isDegraded },
  };
}

/** Makes every module and signature that it uses ready to run. */
async function prepare(
  deps: PipelineDeps,
  call: PipelineCall & { readonly isMock: boolean },
  ctx: Parameters<Engine['prepare']>[1],
): Promise<Prepared> {
  const { pipeline } = call.program;
  invariant(pipeline !== undefined, 'only pipelines come here');
  const options = call.isMock ? ({ engine: 'mock' } as const) : {};
  for (const step of allSteps(pipeline.steps)) {
    if (step.kind !== 'module' && step.kind !== 'signature') continue;
    await programOf(deps, step, call, options, ctx).catch((error: unknown) => {
      throw notBegun(pipeline, step, error);
    });
  }
  return { dspyProgramId: 'pipeline', dialect: {}, planJson: '', nativeFault: '' };
}
