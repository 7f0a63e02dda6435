import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fieldTypesOf, registerFieldTypes } from '@signet/signature/field-type.ts';
import { parseType } from '@signet/signature/parse-type.ts';

/**
 * Loads the field types that a file of the operator's exports and registers them for this process; without a path there are none.
 * Throws with the file's path if it cannot be loaded or exports no field type.
 */
export async function loadFieldTypes(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  try {
    const exports: unknown = await import(pathToFileURL(resolve(path)).href);
    registerFieldTypes(fieldTypesOf(exports as Record<string, unknown>), (text) => parseType(text));
  } catch (error) {
    throw new Error(`SIGNET_FIELD_TYPES: ${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
