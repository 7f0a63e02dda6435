import type { Meter } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Step } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type {
  Engine,
  EngineEvent,
  EngineProgram,
  EngineRun,
  LmEndpoint,
  Prepared,
  RenderedPrompt,
  RunContext,
} from '../engine/engine.ts';
import { toolsOf } from '../tool/tool.ts';
import { dialectOf } from './pool-view.ts';
import { nameProgram } from './program-definition.ts';
import { createPythonInstruments, type PythonInstruments } from './python-instruments.ts';
import type { SidecarPool } from './sidecar-pool.ts';

/** The engine that runs programs on DSPy itself, in the sidecar's workers. */
export function createPythonEngine(deps: { readonly pool: SidecarPool; readonly meter: Meter }): Engine {
  const { pool } = deps;
  const instruments = createPythonInstruments(deps.meter, () => pool.gauges());
  return {
    name: 'python',
    ready: () => pool.ready(),
    prepare: (program, ctx) => prepare(pool, program, ctx),
    run: (program, _inputs, inputsJson, ctx) => run({ pool, instruments }, program, inputsJson, ctx),
    render: (program, inputs, ctx) => render(pool, program, inputs, ctx),
    dialects: () => pool.dialects(),
    close: async () => pool.close(),
  };
}

async function prepare(
  pool: SidecarPool,
  program: EngineProgram,
  ctx: { signal: AbortSignal; deadlineMs: number },
): Promise<Prepared> {
  const { dspyProgramId, dialect, planJson, nativeFault } = await pool.supervisors.compile(
    nameProgram(program, undefined).program,
    ctx,
  );
  return {
    dspyProgramId,
    dialect: { ...dialectOf(dialect), adapter: program.promptAdapter },
    planJson,
    nativeFault,
  };
}

type RunDeps = { readonly pool: SidecarPool; readonly instruments: PythonInstruments };

async function run(deps: RunDeps, program: EngineProgram, inputsJson: string, ctx: RunContext): Promise<EngineRun> {
  const { lm, maxRetries, executionId, signal, deadlineMs, trace, onEvent, wantsText } = ctx;
  const startedMs = performance.now();
  try {
    const done = await deps.pool.run(
      {
        ...{ named: nameProgram(program, lm), inputsJson, lm, lmOptionsJson: '', maxRetries, executionId },
        tools: toolsOf(program.moduleConfig),
        alone: ctx.alone === true,
        isBulk: ctx.isBulk === true,
      },
      {
        signal,
        deadlineMs,
        trace,
        onText: wantsText && onEvent ? (text) => onEvent({ kind: 'token', ...text }) : undefined,
        lmCalls: ctx.lmCalls,
        onStep: onEvent && ((step) => onEvent(stepEvent(step))),
      },
    );
    deps.instruments.ended(done.lane, performance.now() - startedMs);
    const { outputsJson, lmCalls, promptTokens, completionTokens, queueMs, worker } = done;
    return { outputsJson, lmCalls, tokensIn: promptTokens, tokensOut: completionTokens, queueMs, worker };
  } catch (error) {
    deps.instruments.failed(normalizeError(error).reason, performance.now() - startedMs);
    throw error;
  }
}

function stepEvent({ name, status }: Step): EngineEvent {
  const known = status === 'completed' || status === 'failed' ? status : 'started';
  return { kind: 'step', step: name, status: known };
}

// Where a module's first call is made.
const firstPredictors: Readonly<Record<string, string>> = { react: 'react', multi_chain_comparison: 'chain.predict' };

async function render(
  pool: SidecarPool,
  program: EngineProgram,
  inputs: JsonObject,
  ctx: { readonly lm: LmEndpoint | undefined; readonly signal: AbortSignal; readonly deadlineMs: number },
): Promise<RenderedPrompt> {
  const predictor = firstPredictors[program.module] ?? 'predict';
  const { messagesJson, error } = await pool.supervisors.render(
    {
      program: nameProgram(program, ctx.lm).program,
      predictor,
      promptAdapter: program.promptAdapter,
      inputsJson: Buffer.from(writeJson(inputs)),
    },
    ctx,
  );
  if (error !== undefined) {
    const text = `${error.pythonType}: ${error.message}`;
    throw new AppError('MODULE_FAILED', text, { category: 'module', pythonType: error.pythonType });
  }
  return { predictor, messages: JSON.parse(messagesJson.toString()) as RenderedPrompt['messages'], options: new Map() };
}
