const pythonPrefix = 'python:';

// They execute code of a user or of a model; all others only wait for the model and for tools.
const alone = new Set(['best_of_n', 'refine', 'program_of_thought']);

/** True if runs of a module take a worker of their own; `sharedNames` are the names of the allow-list that need not. */
export function runsAlone(module: string, sharedNames: readonly string[]): boolean {
  if (module.startsWith(pythonPrefix)) return !sharedNames.includes(module.slice(pythonPrefix.length));
  return alone.has(module);
}
