import { AppError, invariant } from '@signet/kit/error/app-error.ts';
import { mlTypeNames, type SignatureSpec } from '@signet/signature/types.ts';
import type { JsonRecord } from '../check/field-checks.ts';
import { defaultName, refuseDeprecated, type Signature, specColumns, specModules } from './signature.ts';
import { findSignatureModule, type ModuleDeps } from './signature-modules.ts';
import type { SignatureStore } from './store.postgres.ts';

/** What a signature gets when it is made; it counts for nothing when one is found. */
export type SignatureSettings = {
  readonly name?: string;
  readonly description?: string;
  readonly version?: string;
  readonly strictMode?: boolean;
  readonly mlTypes?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly metadata?: JsonRecord;
};

/** A signature and whether it was made just now. */
export type FoundSignature = { readonly signature: Signature; readonly created: boolean };

/**
 * Finds the signature of a specification, or makes it; however many ask at once, one is made. Fails with SIGNATURE_DEPRECATED, unless it
 * may be that. A module name that another specification holds already (a collision, or an edited draft) is passed over for a longer one.
 */
export async function findOrCreateBySpec(
  deps: { readonly signatures: SignatureStore },
  parsed: SignatureSpec,
  settings: SignatureSettings,
  mayBeDeprecated = false,
): Promise<FoundSignature> {
  const { spec } = specColumns(parsed);
  for (const module of specModules(spec)) {
    const made = await insert(deps, module, parsed, settings);
    if (made !== undefined) return { signature: made, created: true };
    const found = await deps.signatures.find(module);
    if (found === undefined) throw new AppError('WRITE_CONFLICT', 'Another change came first; try again');
    if (found.spec !== spec) continue;
    if (!mayBeDeprecated) refuseDeprecated(found);
    return { signature: found, created: false };
  }
  invariant(false, 'two specifications have one SHA-256');
}

/**
 * Finds the signature of a module, or makes it from what the module declares. Fails with SIGNATURE_DEPRECATED, and with INVALID_REQUEST
 * about `signature_module` if no such module is known or it cannot be read.
 */
export async function findOrCreateByModule(deps: ModuleDeps, module: string): Promise<FoundSignature> {
  const known = await deps.signatures.find(module);
  if (known !== undefined && known.module === module) {
    refuseDeprecated(known);
    return { signature: known, created: false };
  }
  const lookup = await findSignatureModule(deps, module);
  if (lookup.kind === 'unknown') throw moduleRefused('Invalid signature module');
  if (lookup.kind === 'broken') throw moduleRefused(`Error validating signature: ${lookup.problem}`);
  const { parsed, description } = lookup;
  const made = await insert(deps, module, parsed, { name: module, description });
  if (made !== undefined) return { signature: made, created: true };
  const found = await deps.signatures.find(module);
  if (found === undefined) throw moduleRefused('Failed to create signature: another change came first');
  refuseDeprecated(found);
  return { signature: found, created: false };
}

/** Makes a signature under a module name; undefined if the name is taken. */
export function insert(
  deps: { readonly signatures: SignatureStore },
  module: string,
  parsed: SignatureSpec,
  settings: SignatureSettings,
): Promise<Signature | undefined> {
  const columns = specColumns(parsed);
  return deps.signatures.insertIfAbsent({
    ...columns,
    module,
    name: settings.name || defaultName(columns.spec),
    description: settings.description ?? '',
    version: settings.version || '1.0.0',
    metadata: settings.metadata ?? {},
    strictMode: settings.strictMode ?? true,
    mlTypes: [...(settings.mlTypes?.length ? settings.mlTypes : mlTypeNames)],
    labels: { ...settings.labels },
  });
}

/** An INVALID_REQUEST about `signature_module`, in the words that callers know. */
export function moduleRefused(message: string): AppError {
  return new AppError('INVALID_REQUEST', message, {
    metadata: { field: 'signature_module' },
    fieldViolations: [{ field: 'signature_module', reason: 'INVALID', description: message }],
  });
}
