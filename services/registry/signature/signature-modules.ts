import { isModuleName, moduleNameMessage } from '@signet/signature/module-name.ts';
import type { ParserName } from '@signet/signature/parse-with.ts';
import { mlTypeNames, type SignatureSpec } from '@signet/signature/types.ts';
import type { KnownModule } from './built-in-signatures.ts';
import { readSpec } from './signature.ts';
import type { SignatureStore } from './store.postgres.ts';

/** What looks up signature modules: definitions in code, and what workers reported. */
export type ModuleDeps = {
  readonly signatures: SignatureStore;
  readonly definitions: ReadonlyMap<string, KnownModule>;
  /** Which parser reads specifications of calls that name none. */
  readonly signatureParser: ParserName;
};

/** What a registered signature module declares, or why it cannot be read. */
export type ModuleLookup =
  | { readonly kind: 'found'; readonly parsed: SignatureSpec; readonly description: string }
  | { readonly kind: 'unknown'; readonly problem: string }
  | { readonly kind: 'broken'; readonly problem: string };

/** Looks a signature module up by its registered name; imports nothing and does not fail for what is wrong with it. */
export async function findSignatureModule(deps: ModuleDeps, name: string): Promise<ModuleLookup> {
  if (!isModuleName(name)) return { kind: 'unknown', problem: moduleNameMessage };
  const definition = deps.definitions.get(name);
  if (definition !== undefined) {
    return { kind: 'found', parsed: definition.signature, description: definition.description };
  }
  const reported = await deps.signatures.reportedModule(name);
  if (reported === undefined) return { kind: 'unknown', problem: `no module is registered as \`${name}\`` };
  if (reported.error !== '') return { kind: 'broken', problem: reported.error };
  try {
    return { kind: 'found', parsed: readSpec(reported.spec, mlTypeNames), description: reported.description };
  } catch (error) {
    return { kind: 'broken', problem: (error as Error).message };
  }
}
