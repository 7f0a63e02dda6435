import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { builtInFunctions } from '@signet/pipeline/functions.ts';
import { functionsOf } from '@signet/pipeline/registered-functions.ts';

/**
 * The names of the functions that steps of pipelines may call: Signet's own and those that a file of the operator's exports. Throws with
 * the file's path if it cannot be loaded, exports no function, or one under a name that is Signet's.
 */
export async function loadFunctionNames(path: string | undefined): Promise<ReadonlySet<string>> {
  if (path === undefined) return new Set(builtInFunctions.keys());
  try {
    const exports: unknown = await import(pathToFileURL(resolve(path)).href);
    return new Set([...builtInFunctions.keys(), ...functionsOf(exports as Readonly<Record<string, unknown>>).keys()]);
  } catch (error) {
    throw new Error(`SIGNET_FUNCTIONS: ${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
