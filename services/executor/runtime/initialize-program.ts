import type { CallContext } from '@signet/kit/call-context.ts';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import type { Catalog, LookupContext } from '../catalog/catalog.ts';
import { isRegistryAway } from '../catalog/catalog.ts';
import type { Outcome, RegistryClient, RegistryProgram, Transition } from '../catalog/registry.grpc.ts';
import { compileProgram } from '../catalog/served-program.ts';
import { chooseEngine, type Engines } from '../engine/choose-engine.ts';
import type { Engine, EngineProgram, Prepared } from '../engine/engine.ts';
import type { Pipelines } from '../pipeline/pipelines.ts';

/** What preparing a program needs. */
export type InitializeDeps = {
  readonly registry: RegistryClient;
  readonly catalog: Catalog;
  readonly engines: Engines;
  readonly pipelines: Pick<Pipelines, 'engine'>;
  readonly log: Logger;
};

const prepareMaxMs = 60_000;
const finishMaxMs = 15_000;
const finishWaitMs = 30_000;
const finishLookMs = 250;
const renewMs = 20_000;
const engineWaitMs = 15_000;
const engineLookMs = 200;

/**
 * Prepares a DRAFT program on its engine and makes it READY. The state INITIALIZING is committed before the engine is asked. Gives the
 * program also when it ended in ERROR. Fails with PROGRAM_NOT_FOUND and STATE_FORBIDS.
 */
export async function initializeProgram(
  deps: InitializeDeps,
  program: string,
  ctx: LookupContext,
): Promise<RegistryProgram> {
  const transition = await deps.registry.begin(program, ctx);
  // From here on the program is ours to settle, whether or not the caller still waits.
  const settling = { signal: new AbortController().signal, trace: ctx.trace, principal: ctx.principal };
  const renewals = setInterval(() => {
    const { programId } = transition.program;
    deps.registry
      .renew(programId, transition.fencingToken, { ...settling, deadlineMs: Date.now() + 10_000 })
      .catch(() => {});
  }, renewMs);
  try {
    const outcome = await prepare(deps, transition, settling);
    const done = await finishPatiently(deps, transition, outcome, settling);
    await deps.catalog
      .readAfresh(transition.program.programId, { ...settling, deadlineMs: Date.now() + finishMaxMs })
      .catch(() => undefined);
    return done;
  } finally {
    clearInterval(renewals);
  }
}

// A registry that restarts meanwhile is waited for: what was prepared should not be prepared again.
async function finishPatiently(
  deps: InitializeDeps,
  transition: Transition,
  outcome: Outcome,
  settling: Pick<CallContext, 'signal' | 'trace' | 'principal'>,
): Promise<RegistryProgram> {
  const latestMs = Date.now() + finishWaitMs;
  let away: unknown;
  for (;;) {
    try {
      return await deps.registry.finish(transition, outcome, { ...settling, deadlineMs: Date.now() + finishMaxMs });
    } catch (error) {
      const { reason } = normalizeError(error);
      // It may have been written although nobody answered: then the token is used up.
      if (reason === 'STATE_FORBIDS' && away !== undefined) throw away;
      if (!isRegistryAway(reason) || Date.now() >= latestMs) throw error;
      away ??= error;
      await new Promise((resolve) => setTimeout(resolve, finishLookMs));
    }
  }
}

async function prepare(
  deps: InitializeDeps,
  { program }: Transition,
  ctx: Pick<CallContext, 'signal' | 'trace'>,
): Promise<Outcome> {
  try {
    const compiled = compileProgram(program);
    const name = chooseEngine(compiled.adapterType, undefined);
    const engine =
      compiled.pipeline === undefined
        ? deps.engines.get(name)
        : deps.pipelines.engine({ program: compiled, options: {}, principal: undefined });
    if (engine === undefined) {
      return {
        errorMessage: `The ${name} engine is not available yet: choose python_port or mock as the adapter type`,
      };
    }
    const deadlineMs = Date.now() + prepareMaxMs;
    const within = { signal: ctx.signal, deadlineMs, trace: ctx.trace };
    const prepared = await prepareWhenThere(engine, compiled.engineProgram, within);
    // A hybrid module is registered on both sides or on neither.
    const isHybrid = name !== 'mock' && compiled.moduleSettings?.implementation === 'hybrid';
    const declined = isHybrid
      ? await declinedByNative(deps, { ...compiled.engineProgram, ...plansOf(prepared) }, within)
      : '';
    return declined === '' ? prepared : { errorMessage: `The native engine declined: ${declined}` };
  } catch (thrown) {
    const error: AppError = normalizeError(thrown);
    if (error.reason === 'INTERNAL')
      deps.log.error({ err: error.cause, program_id: program.programId }, 'a preparation broke');
    return { errorMessage: error.message };
  }
}

// What the Python side made for the native one.
function plansOf({ planJson, nativeFault }: Prepared): Pick<EngineProgram, 'planJson' | 'nativeFault'> {
  return { planJson, nativeFault };
}

/** Why the native engine cannot serve a program; empty if it can. */
async function declinedByNative(
  deps: InitializeDeps,
  program: EngineProgram,
  ctx: Parameters<Engine['prepare']>[1],
): Promise<string> {
  const native = deps.engines.get('native');
  if (native === undefined) return 'it is not available';
  if (program.nativeFault !== '') return program.nativeFault;
  try {
    await native.prepare(program, ctx);
    return '';
  } catch (error) {
    return normalizeError(error).message;
  }
}

/** Prepares a program; an engine that is just being started is waited for a while. */
export async function prepareWhenThere(
  engine: Engine,
  program: EngineProgram,
  ctx: Parameters<Engine['prepare']>[1],
): Promise<Prepared> {
  const latestMs = Math.min(Date.now() + engineWaitMs, ctx.deadlineMs - 1000);
  for (;;) {
    try {
      return await engine.prepare(program, ctx);
    } catch (error) {
      const isAway = normalizeError(error).reason === 'ENGINE_UNAVAILABLE';
      if (!isAway || ctx.signal.aborted || Date.now() >= latestMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, engineLookMs));
    }
  }
}
