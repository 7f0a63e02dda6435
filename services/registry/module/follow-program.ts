import type { Program } from '../program/program.ts';
import type { ModuleStore } from './store.postgres.ts';

/** What is happening to the program behind a module. */
export type ProgramTurn =
  | { readonly kind: 'initializing' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'error'; readonly message: string };

/**
 * Moves a module with the program behind it, in the same transaction: this is how the two sides of a hybrid module come to one answer.
 * A program of its own, and one that runs on the mock engine, moves nothing.
 */
export async function followProgram(
  deps: { readonly modules: ModuleStore },
  program: Program,
  turn: ProgramTurn,
): Promise<void> {
  if (!program.moduleId || program.adapterType === 'mock') return;
  const module = await deps.modules.lock(program.moduleId);
  if (module === undefined) return;
  const { state } = module;
  if (turn.kind === 'initializing' && state === 'uninitialized') {
    await deps.modules.change(module, { state: 'initializing' });
  } else if (turn.kind === 'ready' && (state === 'initializing' || state === 'uninitialized')) {
    await deps.modules.change(module, { state: 'ready', errorMessage: '' });
  } else if (turn.kind === 'error' && state !== 'error') {
    await deps.modules.change(module, { state: 'error', inFlight: 0, errorMessage: turn.message.slice(0, 4000) });
  }
}

/** What happened to a program that could not be prepared. */
export function errorTurn(message: string): ProgramTurn {
  return { kind: 'error', message };
}
