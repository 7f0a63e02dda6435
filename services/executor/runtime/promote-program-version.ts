import { type CallContext, requireRole } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import type { RegistryProgram } from '../catalog/registry.grpc.ts';
import { compileProgram } from '../catalog/served-program.ts';
import { type GateDeps, passGate } from '../serving/promotion-gate.ts';
import { fromGate } from '../serving/wire.ts';
import type { InitializeDeps } from './initialize-program.ts';
import { prepareVersion } from './prepare-version.ts';

/** Which version is to serve. */
export type PromoteInput = {
  readonly program: string;
  readonly version: number;
  readonly etag: string;
  /** Makes the evaluations that its gate lacks. */
  readonly evaluate: boolean;
  /** Passes by the gate; for admins. */
  readonly force: boolean;
};

/**
 * Prepares a version if nobody has and lets it serve, if it passes the program's gate; one that has served before passes, so that rolling
 * back never waits. Runs that have begun end on their own version. Fails with PROGRAM_NOT_FOUND, VERSION_NOT_FOUND, GATE_REFUSED,
 * ROLE_REQUIRED, STATE_FORBIDS, ETAG_MISMATCH, WRITE_CONFLICT, and with the reason why the version cannot be prepared (MODULE_INVALID,
 * SIGNATURE_TYPE, ENGINE_UNAVAILABLE).
 */
export async function promoteProgramVersion(
  deps: InitializeDeps & GateDeps,
  { program: named, version, etag, evaluate, force }: PromoteInput,
  ctx: CallContext,
): Promise<RegistryProgram> {
  if (version < 1) throw invalidField('version', 'must be at least 1');
  if (force) requireRole(ctx, 'admin');
  const resolved = await deps.registry.resolve(named, version, ctx);
  const program = compileProgram(resolved);
  if (program.state !== 'ready' && program.state !== 'optimizing') {
    throw new AppError('STATE_FORBIDS', `Cannot promote a version of a program in state ${program.state}`, {
      metadata: { state: program.state, event: 'promote', program: program.slug },
    });
  }
  if (!program.isPrepared) await prepareVersion(deps, program, ctx);
  const gate = resolved.servingPolicy?.gate;
  if (gate !== undefined && !force && !resolved.hasServed)
    await passGate(deps, { program, gate: fromGate(gate), evaluate }, ctx);
  const { id, servingVersion: expected } = program;
  const promoted = await deps.registry.setServingVersion({ program: id, version, expected, etag }, ctx);
  await deps.catalog.readAfresh(id, ctx).catch(() => undefined);
  return promoted;
}
