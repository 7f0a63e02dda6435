import type { GroupStep, ModuleStep, SignatureStep, Step } from '@signet/pipeline/pipeline.ts';
import type { JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { compileProgram } from '../catalog/served-program.ts';
import type { RunOptions } from '../execution/execution.ts';
import { type CheckedInputs, checkInputs } from '../runtime/call-input.ts';
import { findModuleProgram } from '../runtime/execute-module.ts';
import { type CallPlan, planCall } from '../runtime/plan-call.ts';
import { makeReady } from '../runtime/quick-execute.ts';
import { type OwnedContext, waitForRegistry } from '../runtime/run-owned.ts';
import { undoIds } from './all-steps.ts';
import type { PipelineCall, PipelineDeps } from './pipelines.ts';
import { planStep } from './plan-step.ts';

/** A step to be planned. */
export type ChildAsked = {
  readonly step: Exclude<Step, GroupStep>;
  readonly input: JsonValue;
  readonly call: PipelineCall & { readonly isMock: boolean };
  /** Milliseconds that it may take. */
  readonly leftMs: number;
};

/** How a step will be run. */
export type ChildPlan = {
  readonly plan: CallPlan;
  readonly checked: CheckedInputs;
  /** True if its result stands under `result` in its outputs. */
  readonly isWrapped: boolean;
};

const timeoutMaxMs = 21_600_000;

/** Decides how a step is run and checks what it is given. Fails as planning a call of a module or a signature does. */
export async function planChild(deps: PipelineDeps, asked: ChildAsked, ctx: OwnedContext): Promise<ChildPlan> {
  const child = await planForward(deps, asked, ctx);
  const { pipeline } = asked.call.program;
  if (pipeline === undefined || !undoIds(pipeline).has(asked.step.id)) return child;
  const options = JSON.parse(child.plan.optionsJson ?? '{}') as RunOptions;
  return { ...child, plan: { ...child.plan, optionsJson: JSON.stringify({ ...options, undoes: true }) } };
}

async function planForward(deps: PipelineDeps, asked: ChildAsked, ctx: OwnedContext): Promise<ChildPlan> {
  const { step, input, call } = asked;
  const leftMs = Math.min(asked.leftMs, timeoutMaxMs);
  const until = { latestMs: Date.now() + leftMs, signal: ctx.signal };
  if (step.kind !== 'module' && step.kind !== 'signature') {
    const planned = await waitForRegistry(deps, until, () => planStep(deps, { step, input, call, leftMs }, ctx));
    return { ...planned, isWrapped: true };
  }
  const options = optionsOf(call, leftMs);
  const plan = await waitForRegistry(deps, until, async () => {
    const program = await programOf(deps, step, call, options, ctx);
    return planCall(deps, { program, options, labels: {}, metadata: undefined }, ctx, true);
  });
  return { plan, checked: checkInputs(plan.program, { text: writeJson(input) }), isWrapped: false };
}

function optionsOf({ options, isMock }: ChildAsked['call'], leftMs: number): RunOptions {
  const { version: _, timeout_ms: __, shadow: ___, undoable: ____, ...rest } = options;
  return { ...rest, timeout_ms: leftMs, ...(isMock ? { engine: 'mock' as const } : {}) };
}

/** The program by which a step runs, READY. */
export async function programOf(
  deps: PipelineDeps,
  step: ModuleStep | SignatureStep,
  call: Pick<ChildAsked['call'], 'program' | 'isMock'>,
  options: RunOptions,
  ctx: OwnedContext,
): Promise<string> {
  if (step.kind === 'module') return findModuleProgram(deps, { module: step.moduleId, options }, ctx);
  const { signature, module, lm, instructions } = step;
  const adapterType = call.isMock ? adapterTypes.mock : adapterTypes[call.program.adapterType];
  const key = JSON.stringify([signature, module, lm, instructions, adapterType]);
  const programs = programsOf(deps);
  const known = programs.get(key);
  if (known !== undefined && deps.catalog.peek(known) !== undefined) return known;
  const asked = { spec: signature, module: '', kind: module, lm, instructions, composed: true };
  const resolved = await deps.registry.ensureQuickProgram(asked, adapterType, ctx);
  if (compileProgram(resolved).state !== 'ready') await makeReady(deps, resolved, ctx);
  else deps.catalog.learn(resolved);
  if (programs.size >= programsMax) programs.clear();
  programs.set(key, resolved.programId);
  return resolved.programId;
}

const adapterTypes = { python_port: 1, native: 2, mock: 3 } as const;
const programsMax = 10_000;
// Which program serves which signature never changes, so it is asked for once.
const ofRegistries = new WeakMap<PipelineDeps['registry'], Map<string, string>>();

function programsOf({ registry }: PipelineDeps): Map<string, string> {
  let programs = ofRegistries.get(registry);
  if (programs === undefined) {
    programs = new Map();
    ofRegistries.set(registry, programs);
  }
  return programs;
}
