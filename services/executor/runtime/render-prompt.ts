import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { LanguageModels } from '../catalog/language-models.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import { chooseEngine, type Engines, requireEngine } from '../engine/choose-engine.ts';
import { EngineDeclined, type EngineName, type RenderedPrompt } from '../engine/engine.ts';
import { checkInputs, type ExecuteInput } from './call-input.ts';
import { findReady } from './plan-call.ts';

/** What rendering needs. */
export type RenderDeps = {
  readonly catalog: Catalog;
  readonly engines: Engines;
  readonly languageModels: LanguageModels;
};

/** Which run is to be shown. */
export type RenderInput = {
  readonly program: string;
  readonly inputs: ExecuteInput['inputs'];
  /** 0 means the serving one. */
  readonly version: number;
  readonly engine: EngineName | undefined;
};

/** How a run would begin. */
export type PromptView = RenderedPrompt & { readonly engine: EngineName; readonly version: number };

const timeoutMs = 15_000;

/**
 * Shows the very messages with which a run would begin. Fails with PROGRAM_NOT_FOUND, PROGRAM_NOT_READY, VERSION_NOT_FOUND, INPUT_INVALID,
 * INVALID_REQUEST, MODULE_INVALID, MODULE_FAILED and ENGINE_UNAVAILABLE.
 */
export async function renderPrompt(deps: RenderDeps, input: RenderInput, ctx: CallContext): Promise<PromptView> {
  if (input.version < 0) throw invalidField('version', 'must not be negative');
  const program = await findReady(deps, input.program, input.version, ctx);
  if (program.pipeline !== undefined)
    throw invalidField('program', 'a pipeline has no prompt of its own; its modules do');
  const checked = checkInputs(program, input.inputs);
  if (!checked.ok) throw checked.error;
  const engine = requireEngine(deps.engines, engineOf(program, input.engine));
  if (engine.render === undefined) throw invalidField('engine', `the ${engine.name} engine has no prompts`);
  const deadlineMs = Math.min(ctx.deadlineMs ?? Number.POSITIVE_INFINITY, Date.now() + timeoutMs);
  const lm = deps.languageModels.peek(program.lm);
  try {
    const { engineProgram, version } = program;
    const prompt = await engine.render(engineProgram, checked.values, { lm, signal: ctx.signal, deadlineMs });
    return { ...prompt, engine: engine.name, version };
  } catch (error) {
    if (!(error instanceof EngineDeclined)) throw error;
    throw new AppError('MODULE_INVALID', `The ${engine.name} engine cannot render it: ${error.message}`);
  }
}

function engineOf(program: ServedProgram, asked: EngineName | undefined): EngineName {
  if (asked !== undefined) return chooseEngine(program.adapterType, asked);
  if (program.adapterType === 'mock') return 'mock';
  return program.engineProgram.planJson === '' ? chooseEngine(program.adapterType, undefined) : 'native';
}
