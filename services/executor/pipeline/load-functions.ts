import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { builtInFunctions, type PipelineFunction } from '@signet/pipeline/functions.ts';
import { functionsOf } from '@signet/pipeline/registered-functions.ts';

/**
 * Signet's own functions and those that a file of the operator's exports, by name; without a path Signet's alone. Throws with the file's
 * path if it cannot be loaded, exports no function, or one under a name that is Signet's.
 */
export async function loadFunctions(path: string | undefined): Promise<ReadonlyMap<string, PipelineFunction>> {
  if (path === undefined) return builtInFunctions;
  try {
    const exports: unknown = await import(pathToFileURL(resolve(path)).href);
    return new Map([...builtInFunctions, ...functionsOf(exports as Readonly<Record<string, unknown>>)]);
  } catch (error) {
    throw new Error(`SIGNET_FUNCTIONS: ${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
