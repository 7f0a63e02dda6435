import { AppError } from '@signet/kit/error/app-error.ts';
import { requireEtag } from '../check/etag.ts';
import { FieldChecks } from '../check/field-checks.ts';
import type { ProgramStore } from '../program/store.postgres.ts';
import { type Module, type ModuleEvent, type ModuleState, moduleNotFound, nextState } from './module.ts';
import type { ModuleChanges, ModuleStore } from './store.postgres.ts';

/** What happened to a module; the event is undefined for a value that nobody knows. */
export type FireModuleEventInput = {
  readonly module: string;
  readonly event: ModuleEvent | undefined;
  /** True lets start_execution count up in EXECUTING too. */
  readonly concurrent: boolean;
  readonly errorMessage: string;
  readonly etag: string;
};

/**
 * Moves a module by an event. Executions that are begun and ended by events are counted; EXECUTING ends with the last of them. Fails with
 * MODULE_NOT_FOUND, ETAG_MISMATCH, INVALID_REQUEST, and STATE_FORBIDS (`Cannot <event> module in state <state>`).
 */
export async function fireModuleEvent(
  deps: { readonly modules: ModuleStore; readonly programs: ProgramStore },
  input: FireModuleEventInput,
): Promise<Module> {
  const checks = new FieldChecks();
  if (input.event === undefined) checks.add('event', 'is required', 'REQUIRED');
  checks.text('error_message', input.errorMessage, { max: 4000 });
  checks.done();
  const module = await deps.modules.lock(input.module);
  if (module === undefined) throw moduleNotFound(input.module);
  requireEtag(module, input.etag);
  const event = input.event!;
  const changes = moveOf(module, event, input);
  if (changes === undefined) throw cannot(event, module.state);
  if (event === 'reset') await deps.programs.resetOfModule(module.id);
  return deps.modules.change(module, changes);
}

function moveOf(module: Module, event: ModuleEvent, input: FireModuleEventInput): ModuleChanges | undefined {
  const { state, inFlight } = module;
  if (state === 'executing') {
    if (event === 'start_execution' && input.concurrent) return { inFlight: inFlight + 1 };
    if (event === 'complete_execution' && inFlight > 1) return { inFlight: inFlight - 1 };
  }
  const next = nextState(state, event);
  if (next === undefined) return undefined;
  return {
    state: next,
    inFlight: next === 'executing' ? 1 : 0,
    errorMessage: next === 'error' ? input.errorMessage || 'the module was marked as failed' : '',
  };
}

/** The error for an event that a module's state does not allow. */
export function cannot(event: ModuleEvent, state: ModuleState): AppError {
  return new AppError('STATE_FORBIDS', `Cannot ${event} module in state ${state}`, { metadata: { state, event } });
}
