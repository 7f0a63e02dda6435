import { AppError } from '@signet/kit/error/app-error.ts';
import { mlTypeNames } from '@signet/signature/types.ts';
import { checkSignatureSettings } from './check-signature.ts';
import { chooseParser } from './choose-parser.ts';
import { type FoundSignature, findOrCreateBySpec, type SignatureSettings } from './find-or-create-signature.ts';
import { defaultName, readSpec, type Signature, specColumns, specModules } from './signature.ts';
import type { ModuleDeps } from './signature-modules.ts';

/** A specification and what its signature gets if it is made. */
export type ParseSignatureInput = SignatureSettings & {
  readonly spec: string;
  readonly validateOnly: boolean;
  /** Which parser reads it; empty means the configured one. */
  readonly parser: string;
};

/**
 * Finds or makes the signature of a specification; with `validateOnly` answers what would be made, its id empty. Fails with
 * SIGNATURE_SYNTAX, SIGNATURE_TYPE, INVALID_REQUEST, SIGNATURE_DEPRECATED, and NAME_TAKEN if it is found under another name.
 */
export async function parseSignature(
  deps: Pick<ModuleDeps, 'signatures' | 'signatureParser'>,
  input: ParseSignatureInput,
): Promise<FoundSignature> {
  const checks = checkSignatureSettings(input);
  if (input.spec.trim() === '') checks.add('spec', 'is required', 'REQUIRED');
  checks.done();
  const parser = chooseParser(deps, input.parser);
  const parsed = readSpec(input.spec, input.mlTypes?.length ? input.mlTypes : mlTypeNames, 'spec', parser);
  if (input.validateOnly) return { signature: preview(input, specColumns(parsed)), created: false };
  const found = await findOrCreateBySpec(deps, parsed, input);
  requireName(found, input.name ?? '');
  return found;
}

/** Throws NAME_TAKEN if a signature was found under another name than the one that was asked for. */
export function requireName({ signature, created }: FoundSignature, name: string): void {
  if (created || name === '' || name === signature.name) return;
  throw new AppError('NAME_TAKEN', `The signature exists under another name, \`${signature.name}\``, {
    metadata: { resource: signature.module, name: signature.name, signature_id: signature.id },
    fieldViolations: [{ field: 'name', reason: 'NAME_TAKEN', description: 'the signature exists under another name' }],
  });
}

function preview(input: ParseSignatureInput, columns: ReturnType<typeof specColumns>): Signature {
  return {
    ...columns,
    id: '',
    name: input.name || defaultName(columns.spec),
    module: specModules(columns.spec)[0]!,
    description: input.description ?? '',
    version: input.version || '1.0.0',
    status: 'draft',
    metadata: input.metadata ?? {},
    strictMode: input.strictMode ?? true,
    mlTypes: [...(input.mlTypes?.length ? input.mlTypes : mlTypeNames)],
    labels: { ...input.labels },
    rowVersion: 0,
    createTime: new Date(0),
    updateTime: new Date(0),
  };
}
