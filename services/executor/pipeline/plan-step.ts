import { createHash } from 'node:crypto';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { ActionStep, FunctionStep, PythonStep } from '@signet/pipeline/pipeline.ts';
import { isObject, type JsonObject, type JsonValue, jsonFromPlain, plainFromJson } from '@signet/signature/json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import { requireEngine } from '../engine/choose-engine.ts';
import type { Engine, LmEndpoint } from '../engine/engine.ts';
import { noProgram, type RunOptions } from '../execution/execution.ts';
import type { Claim } from '../execution/lease.postgres.ts';
import type { CheckedInputs } from '../runtime/call-input.ts';
import { type CallPlan, retriesDefault } from '../runtime/plan-call.ts';
import type { PipelineCall, PipelineDeps } from './pipelines.ts';
import { actionEngine, functionEngine, mockedEngine, pythonEngine } from './step-engines.ts';

const timeoutDefaultMs = 900_000;

/** A step that no program stands behind, to be planned. */
export type StepAsked = {
  readonly step: ActionStep | FunctionStep | PythonStep;
  readonly input: JsonValue;
  readonly call: PipelineCall & { readonly isMock: boolean };
  readonly leftMs: number;
};

/**
 * Decides how a function, an action or a Python name is run; what it gives stands under `result` in the outputs. Python may ask the call's
 * language model, else the program's. Fails with LM_NOT_FOUND, and with LM_NOT_CONFIGURED for one that is named and cannot be asked.
 */
export async function planStep(
  deps: PipelineDeps,
  { step, input, call, leftMs }: StepAsked,
  ctx: LookupContext,
): Promise<{ readonly plan: CallPlan; readonly checked: CheckedInputs }> {
  const isWrapped = !isObject(input);
  const values: JsonObject = isObject(input) ? input : new Map([['input', input]]);
  const hasKwargs = step.kind === 'python' && step.kwargs.size > 0;
  const options: RunOptions = {
    timeout_ms: leftMs,
    ...(call.isMock ? { engine: 'mock' as const } : {}),
    ...(step.kind === 'python' ? askingOf(call) : {}),
    ...(isWrapped ? { wrapped: true } : {}),
    ...(hasKwargs ? { kwargs: plainFromJson(step.kwargs) as Record<string, unknown> } : {}),
  };
  const plan = await planOf(deps, moduleOf(step), options, ctx);
  return {
    plan: { ...plan, optionsJson: JSON.stringify(options), labelsJson: null, metadataJson: '{}' },
    checked: { ok: true, json: writeJson(values), values },
  };
}

/** Plans again what another process has begun; undefined for an execution of a program. Fails as planStep does. */
export async function planClaimedStep(
  deps: PipelineDeps,
  { programId, module, options }: Pick<Claim, 'programId' | 'module' | 'options'>,
  ctx: LookupContext,
): Promise<PlainPlan | undefined> {
  return programId === noProgram ? planOf(deps, module, options, ctx) : undefined;
}

type PlainPlan = Omit<CallPlan, 'optionsJson' | 'labelsJson' | 'metadataJson'>;

function moduleOf(step: StepAsked['step']): string {
  if (step.kind === 'function') return `function:${step.function}`;
  return step.kind === 'python' ? `call:${step.module}` : `action:${step.resource}.${step.action}`;
}

function askingOf({ program, options: { lm = program.lm, max_retries } }: PipelineCall): RunOptions {
  return { ...(lm === '' ? {} : { lm }), ...(max_retries === undefined ? {} : { max_retries }) };
}

async function planOf(deps: PipelineDeps, module: string, options: RunOptions, ctx: LookupContext): Promise<PlainPlan> {
  const kwargs = options.kwargs === undefined ? new Map() : (jsonFromPlain(options.kwargs) as JsonObject);
  return {
    program: stepProgram(module, kwargs),
    engine: engineOf(deps, module, options),
    shadow: undefined,
    lm: module.startsWith('call:') ? await lmOf(deps, options, ctx) : undefined,
    maxRetries: options.max_retries ?? retriesDefault,
    timeoutMs: options.timeout_ms ?? timeoutDefaultMs,
  };
}

// Most Python asks no model, so it runs where there is none; what does ask is told so then.
async function lmOf(deps: PipelineDeps, options: RunOptions, ctx: LookupContext): Promise<LmEndpoint | undefined> {
  if (options.engine === 'mock') return undefined;
  try {
    return await deps.languageModels.resolve(options.lm ?? '', ctx);
  } catch (error) {
    const isNobody = options.lm === undefined && error instanceof AppError && error.reason === 'LM_NOT_CONFIGURED';
    if (isNobody) return undefined;
    throw error;
  }
}

function engineOf(deps: PipelineDeps, module: string, options: RunOptions): Engine {
  const kind = module.slice(0, module.indexOf(':'));
  const name = module.slice(kind.length + 1);
  if (kind === 'action') return actionEngine(name);
  if (kind === 'function') return functionEngine(deps.functions, name, options.wrapped === true);
  return options.engine === 'mock' ? mockedEngine() : pythonEngine(requireEngine(deps.engines, 'python'));
}

// What Python calls take and give, as a program's signature; no other step looks at it.
const signature = parseSpec('arguments: dict[str, Any] -> result: Any');

/** What stands in the place of a program. */
function stepProgram(module: string, kwargs: JsonObject): ServedProgram {
  const text = writeJson(kwargs);
  return {
    ...{ id: noProgram, slug: module, name: module, state: 'ready', errorMessage: '', adapterType: 'python_port' },
    ...{ version: 0, servingVersion: 0, isDeleted: false, isPrepared: true, dspyProgramId: '', lm: '' },
    engineProgram: {
      ...{ programId: noProgram, slug: module, version: 0, signature, module, promptAdapter: 'chat' },
      ref: createHash('sha256').update(`${module} ${text}`).digest('hex').slice(0, 32),
      ...{ instructions: '', demosJson: [], lmOptions: new Map(), planJson: '', nativeFault: '' },
      ...(kwargs.size === 0 ? {} : { moduleConfig: kwargs }),
    },
    moduleSettings: undefined,
    serving: undefined,
    checkInputs: anyObject,
    checkOutputs: anyObject,
  };
}

function anyObject(value: JsonValue): ReturnType<ServedProgram['checkOutputs']> {
  if (isObject(value)) return { ok: true, values: value };
  const violation = { field: 'outputs', reason: 'TYPE_MISMATCH' as const, description: 'must be an object' };
  return { ok: false, violations: [violation] };
}
