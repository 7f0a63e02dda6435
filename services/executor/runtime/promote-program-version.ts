import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { RegistryProgram } from '../catalog/registry.grpc.ts';
import { compileProgram, type ServedProgram } from '../catalog/served-program.ts';
import { chooseEngine, requireEngine } from '../engine/choose-engine.ts';
import { type InitializeDeps, prepareWhenThere } from './initialize-program.ts';

/** Which version is to serve. */
export type PromoteInput = { readonly program: string; readonly version: number; readonly etag: string };

const prepareMaxMs = 60_000;

/**
 * Prepares a version if nobody has and lets it serve; promoting an older one is rolling back. Runs that have begun end on their own
 * version. Fails with PROGRAM_NOT_FOUND, VERSION_NOT_FOUND, STATE_FORBIDS, ETAG_MISMATCH, WRITE_CONFLICT, and with the reason why the
 * version cannot be prepared (MODULE_INVALID, SIGNATURE_TYPE, ENGINE_UNAVAILABLE).
 */
export async function promoteProgramVersion(
  deps: InitializeDeps,
  { program: named, version, etag }: PromoteInput,
  ctx: CallContext,
): Promise<RegistryProgram> {
  if (version < 1) throw invalidField('version', 'must be at least 1');
  const program = compileProgram(await deps.registry.resolve(named, version, ctx));
  if (program.state !== 'ready' && program.state !== 'optimizing') {
    throw new AppError('STATE_FORBIDS', `Cannot promote a version of a program in state ${program.state}`, {
      metadata: { state: program.state, event: 'promote', program: program.slug },
    });
  }
  if (!program.isPrepared) await prepareVersion(deps, program, ctx);
  const { id, servingVersion: expected } = program;
  const promoted = await deps.registry.setServingVersion({ program: id, version, expected, etag }, ctx);
  await deps.catalog.readAfresh(id, ctx).catch(() => undefined);
  return promoted;
}

async function prepareVersion(deps: InitializeDeps, program: ServedProgram, ctx: CallContext): Promise<void> {
  const engine = requireEngine(deps.engines, chooseEngine(program.adapterType, undefined));
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
