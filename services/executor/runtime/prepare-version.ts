import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import { chooseEngine, requireEngine } from '../engine/choose-engine.ts';
import { type InitializeDeps, prepareWhenThere } from './initialize-program.ts';

const prepareMaxMs = 60_000;

/**
 * Prepares a version of a program so that it can be run, and keeps what came of it with the version. Fails with the reason why it cannot
 * be: MODULE_INVALID, SIGNATURE_TYPE, ENGINE_UNAVAILABLE.
 */
export async function prepareVersion(
  deps: Pick<InitializeDeps, 'engines' | 'registry' | 'pipelines'>,
  program: ServedProgram,
  ctx: LookupContext,
): Promise<void> {
  const engine =
    program.pipeline === undefined
      ? requireEngine(deps.engines, chooseEngine(program.adapterType, undefined))
      : deps.pipelines.engine({ program, options: {}, principal: ctx.principal });
  const deadlineMs = Math.min(ctx.deadlineMs ?? Number.POSITIVE_INFINITY, Date.now() + prepareMaxMs);
  const { id, version } = program;
  try {
    const prepared = await prepareWhenThere(engine, program.engineProgram, { ...ctx, deadlineMs });
    await deps.registry.putPreparation(id, version, prepared, ctx);
  } catch (error) {
    const { reason, message } = normalizeError(error);
    // That it can never be built is told with the version; that nobody was there to try is not.
    if (reason === 'MODULE_INVALID' || reason === 'SIGNATURE_TYPE')
      await deps.registry.putPreparation(id, version, { errorMessage: message }, ctx);
    throw error;
  }
}
