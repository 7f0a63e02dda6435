import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import type { RegistryClient, ResolvedProgram } from '../catalog/registry.grpc.ts';
import { compileProgram } from '../catalog/served-program.ts';
import type { ExecuteInput } from './call-input.ts';
import { type ExecuteDeps, type ExecuteResult, executeProgram } from './execute-program.ts';
import { type InitializeDeps, initializeProgram } from './initialize-program.ts';

/** What a quick execution needs. */
export type QuickDeps = ExecuteDeps & InitializeDeps & { readonly registry: RegistryClient };

/** A run of a signature; exactly one of `spec` and `module` is given. */
export type QuickInput = Omit<ExecuteInput, 'program'> & { readonly spec: string; readonly module: string };

const adapterTypes = { python: 1, native: 2, mock: 3 } as const;
const waitMs = 30_000;

/** Runs a signature once: its program is found or made, prepared if nobody has, and run. The engine is mock unless said. */
export async function quickExecute(deps: QuickDeps, input: QuickInput, ctx: CallContext): Promise<ExecuteResult> {
  if ((input.spec === '') === (input.module === '')) {
    throw invalidField('signature_spec', 'exactly one of signature_spec and signature_module is required', 'REQUIRED');
  }
  const engine = input.options.engine ?? 'mock';
  const resolved = await deps.registry.ensureQuickProgram(input, adapterTypes[engine], ctx);
  const program = resolved.programId;
  if (compileProgram(resolved).state !== 'ready') await makeReady(deps, resolved, ctx);
  else deps.catalog.learn(resolved);
  return executeProgram(deps, { ...input, program, options: { ...input.options, engine } }, ctx, 'QuickExecute');
}

/** Prepares a program; of several callers one does, the others wait for it. */
export async function makeReady(deps: QuickDeps, resolved: ResolvedProgram, ctx: LookupContext): Promise<void> {
  try {
    await initializeProgram(deps, resolved.programId, ctx);
  } catch (error) {
    if (!(error instanceof AppError) || error.reason !== 'STATE_FORBIDS') throw error;
    const end = Date.now() + waitMs;
    while ((await deps.catalog.readAfresh(resolved.programId, ctx)).state === 'initializing' && Date.now() < end) {
      await deps.live.news(resolved.programId, 50, ctx.signal);
      if (ctx.signal.aborted) throw ctx.signal.reason;
    }
  }
}
