import type { Step } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { Engine, EngineEvent, EngineProgram, EngineRun, Prepared, RunContext } from '../engine/engine.ts';
import { nameProgram } from './program-definition.ts';
import type { SidecarPool } from './sidecar-pool.ts';

/** The engine that runs programs on DSPy itself, in the sidecar's workers. */
export function createPythonEngine(deps: { readonly pool: SidecarPool }): Engine {
  const { pool } = deps;
  return {
    name: 'python',
    ready: () => pool.ready(),
    prepare: (program, ctx) => prepare(pool, program, ctx),
    run: (program, _inputs, inputsJson, ctx) => run(pool, program, inputsJson, ctx),
    close: async () => pool.close(),
  };
}

async function prepare(
  pool: SidecarPool,
  program: EngineProgram,
  ctx: { signal: AbortSignal; deadlineMs: number },
): Promise<Prepared> {
  const { dspyProgramId, dialect } = await pool.compile(nameProgram(program, undefined).program, ctx);
  return {
    dspyProgramId,
    dialect: {
      dspy: dialect?.dspy ?? '',
      json_repair: dialect?.jsonRepair ?? '',
      pydantic: dialect?.pydantic ?? '',
      python: dialect?.python ?? '',
      adapter: program.promptAdapter,
    },
  };
}

async function run(pool: SidecarPool, program: EngineProgram, inputsJson: string, ctx: RunContext): Promise<EngineRun> {
  const { lm, maxRetries, executionId, signal, deadlineMs, trace, onEvent, wantsText } = ctx;
  const done = await pool.run(
    { named: nameProgram(program, lm), inputsJson, lm, lmOptionsJson: '', maxRetries, executionId },
    {
      signal,
      deadlineMs,
      trace,
      onText: wantsText && onEvent ? (text) => onEvent({ kind: 'token', ...text }) : undefined,
      onStep: onEvent && ((step) => onEvent(stepEvent(step))),
    },
  );
  const { outputsJson, lmCalls, promptTokens, completionTokens, queueMs, worker } = done;
  return { outputsJson, lmCalls, tokensIn: promptTokens, tokensOut: completionTokens, queueMs, worker };
}

function stepEvent({ name, status }: Step): EngineEvent {
  const known = status === 'completed' || status === 'failed' ? status : 'started';
  return { kind: 'step', step: name, status: known };
}
