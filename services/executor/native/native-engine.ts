import type { Tracer } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { Engine, EngineProgram, Prepared } from '../engine/engine.ts';
import type { LanguageModel } from '../lm/language-model.ts';
import type { ToolCaller } from '../tool/call-tool.ts';
import type { CompletionReader } from './completion-reader.ts';
import { NativeRun } from './native-run.ts';
import { planOf } from './plan-of.ts';
import { renderPrompt } from './render-prompt.ts';

/** What the native engine needs. */
export type NativeEngineDeps = {
  readonly lm: LanguageModel;
  readonly tools: ToolCaller;
  readonly tracer: Tracer;
  /** Makes plans: real DSPy writes the prompts. */
  readonly compiler: Pick<Engine, 'prepare'>;
  /** Reads what is not certain to be read here as DSPy would. */
  readonly reader: CompletionReader;
};

/**
 * The engine that serves prompt plans in this process: the same bytes to the model and the same answer out of its reply as DSPy, without
 * Python but for replies in doubt. What a plan cannot express it declines.
 */
export function createNativeEngine(deps: NativeEngineDeps): Engine {
  return {
    name: 'native',
    ready: () => true,
    prepare: (program, ctx) => prepare(deps, program, ctx),
    run: (program, inputs, _inputsJson, ctx) => new NativeRun(deps, program, planOf(program), ctx).run(inputs),
    render: async (program, inputs, { lm }) => renderPrompt(program, inputs, lm),
    close: async () => {},
  };
}

async function prepare(
  { compiler }: NativeEngineDeps,
  program: EngineProgram,
  ctx: Parameters<Engine['prepare']>[1],
): Promise<Prepared> {
  const prepared = await compiler.prepare(program, ctx);
  if (prepared.planJson !== '') return prepared;
  const why = prepared.nativeFault || 'it has no prompt plan';
  throw new AppError('MODULE_INVALID', `The native engine cannot run it: ${why}`, { metadata: { engine: 'native' } });
}
