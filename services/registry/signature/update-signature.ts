import { AppError } from '@signet/kit/error/app-error.ts';
import type { ParserName } from '@signet/signature/parse-with.ts';
import { mlTypeNames } from '@signet/signature/types.ts';
import { requireEtag } from '../check/etag.ts';
import type { JsonRecord } from '../check/field-checks.ts';
import { type MaskFields, maskedFields } from '../check/update-mask.ts';
import { checkSignatureSettings } from './check-signature.ts';
import { readSpec, type Signature, signatureNotFound, specColumns } from './signature.ts';
import type { ModuleDeps } from './signature-modules.ts';
import type { SignatureChanges } from './store.postgres.ts';

/** The fields of a signature that an update may change. */
export type SignatureField =
  | 'name'
  | 'spec'
  | 'description'
  | 'version'
  | 'strict_mode'
  | 'ml_types'
  | 'labels'
  | 'metadata';

const fields: MaskFields<SignatureField> = {
  settable: ['name', 'spec', 'description', 'version', 'strict_mode', 'ml_types', 'labels', 'metadata'],
  outputOnly: [
    'id',
    'module',
    'status',
    'inputs',
    'outputs',
    'parsed_spec',
    'complexity',
    'inputs_schema',
    'outputs_schema',
    'create_time',
    'update_time',
  ],
};

/** Changes of a signature; `set` are the fields that stand in the request. */
export type UpdateSignatureInput = {
  readonly signature: string;
  readonly etag: string;
  readonly updateMask: readonly string[] | undefined;
  readonly set: readonly SignatureField[];
  readonly name: string;
  readonly spec: string;
  readonly description: string;
  readonly version: string;
  readonly strictMode: boolean;
  readonly mlTypes: readonly string[];
  readonly labels: Record<string, string>;
  readonly metadata: JsonRecord;
};

/**
 * Changes a DRAFT signature; program versions keep the snapshot they were made with. Fails with SIGNATURE_NOT_FOUND, STATE_FORBIDS,
 * ETAG_MISMATCH, SIGNATURE_SYNTAX, SIGNATURE_TYPE and INVALID_REQUEST.
 */
export async function updateSignature(
  deps: Pick<ModuleDeps, 'signatures' | 'signatureParser'>,
  input: UpdateSignatureInput,
): Promise<Signature> {
  const named = maskedFields(input.updateMask, input.set, fields);
  const checks = checkSignatureSettings(input);
  if (named.has('name') && input.name.trim() === '') checks.add('name', 'is required', 'REQUIRED');
  if (named.has('spec') && input.spec.trim() === '') checks.add('spec', 'is required', 'REQUIRED');
  checks.done();
  const signature = await deps.signatures.lock(input.signature);
  if (signature === undefined) throw signatureNotFound(input.signature);
  requireEtag(signature, input.etag);
  if (signature.status !== 'draft') {
    throw new AppError('STATE_FORBIDS', 'Only draft signatures can be updated', {
      metadata: { state: signature.status, event: 'update' },
    });
  }
  if (named.size === 0) return signature;
  return deps.signatures.change(signature, changesOf(signature, input, named, deps.signatureParser));
}

function changesOf(
  signature: Signature,
  input: UpdateSignatureInput,
  named: ReadonlySet<SignatureField>,
  parser: ParserName,
): SignatureChanges {
  const given = input.mlTypes.length > 0 ? [...input.mlTypes] : [...mlTypeNames];
  const mlTypes = named.has('ml_types') ? given : signature.mlTypes;
  // A type that is turned off must not stand in the specification that stays.
  const isReparsed = named.has('spec') || named.has('ml_types');
  const spec = named.has('spec') ? input.spec : signature.spec;
  return {
    ...(isReparsed
      ? { ...specColumns(readSpec(spec, mlTypes, 'spec', named.has('spec') ? parser : 'enhanced')), mlTypes }
      : {}),
    ...(named.has('name') ? { name: input.name } : {}),
    ...(named.has('description') ? { description: input.description } : {}),
    ...(named.has('version') ? { version: input.version || '1.0.0' } : {}),
    ...(named.has('strict_mode') ? { strictMode: input.strictMode } : {}),
    ...(named.has('labels') ? { labels: input.labels } : {}),
    ...(named.has('metadata') ? { metadata: input.metadata } : {}),
  };
}
