import { setTimeout as delay } from 'node:timers/promises';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { KnownModule } from '../catalog/known-module.ts';
import type { Modules } from '../catalog/modules.ts';
import { type InitializeDeps, initializeProgram } from './initialize-program.ts';

/** What preparing modules by itself needs. */
export type PrepareModulesDeps = InitializeDeps & { readonly modules: Modules };

const deadlineMs = 90_000;
const pauseFirstMs = 500;
const pauseMaxMs = 15_000;
// The registry was away: the module is as it was, and nobody else will be told of it again.
const passing = new Set<string>(['SERVICE_UNAVAILABLE', 'DATABASE_UNAVAILABLE', 'SHUTTING_DOWN', 'DEADLINE_EXCEEDED']);

/**
 * Prepares hybrid modules as soon as they are registered: the registry keeps the row UNINITIALIZED until both engines confirmed it
 * (READY) or one declined (ERROR, executable by neither). Of several executors the registry lets one; a preparation whose executor
 * dies is settled by the registry, and one that the registry was not there for is tried again until it is.
 */
export function prepareHybridModules(deps: PrepareModulesDeps): { close(): void } {
  const stop = new AbortController();
  const tried = new Set<string>();
  deps.modules.listen((module) => {
    if (!awaitsPreparation(module) || stop.signal.aborted) return;
    const { id } = module.settings;
    // Once a state: a reset is another revision, and so tried again.
    const key = `${id}/${module.revision}`;
    if (tried.has(key)) return;
    if (tried.size > 10_000) tried.clear();
    tried.add(key);
    void prepareUntilSettled(deps, module, stop.signal);
  });
  return { close: () => stop.abort(new AppError('CANCELLED', 'The executor is shutting down')) };
}

function awaitsPreparation({ settings, state, isDeleted, isExecutable }: KnownModule): boolean {
  return settings.implementation === 'hybrid' && state === 'uninitialized' && isExecutable && !isDeleted;
}

async function prepareUntilSettled(deps: PrepareModulesDeps, module: KnownModule, signal: AbortSignal): Promise<void> {
  for (
    let pauseMs = pauseFirstMs;
    !(await prepare(deps, module, signal));
    pauseMs = Math.min(pauseMs * 2, pauseMaxMs)
  ) {
    // Many may wait for the same registry: they do not come back all at once.
    await delay(pauseMs * (0.5 + Math.random() / 2), undefined, { signal, ref: false }).catch(() => undefined);
    // A later state of it is tried by itself.
    if (signal.aborted || deps.modules.peek(module.settings.id)?.revision !== module.revision) return;
  }
}

/** Tries once; false if trying again may help. */
async function prepare(deps: PrepareModulesDeps, module: KnownModule, signal: AbortSignal): Promise<boolean> {
  const { id, name } = module.settings;
  try {
    const outer = { signal, deadlineMs: Date.now() + deadlineMs, trace: ROOT_CONTEXT };
    const { programId } = await deps.registry.ensureModuleProgram(id, false, outer);
    await initializeProgram(deps, programId, outer);
    return true;
  } catch (error) {
    const { reason } = normalizeError(error);
    // STATE_FORBIDS: another executor was first.
    if (reason !== 'STATE_FORBIDS') deps.log.warn({ module: name, reason }, 'a hybrid module could not be prepared');
    return !passing.has(reason);
  }
}
