import { mlTypeNames } from '@signet/signature/types.ts';
import { FieldChecks } from '../check/field-checks.ts';
import type { SignatureSettings } from './find-or-create-signature.ts';
import { isMlType } from './signature.ts';

/** Gathers what is wrong with the parts of a signature that callers write, its specification apart. */
export function checkSignatureSettings(
  settings: SignatureSettings,
  checks: FieldChecks = new FieldChecks(),
): FieldChecks {
  checks.text('name', settings.name ?? '', { max: 200, oneLine: true });
  checks.text('description', settings.description ?? '', { max: 10_000 });
  checks.text('version', settings.version ?? '', { max: 64, oneLine: true });
  checks.labels('labels', settings.labels ?? {});
  checks.json('metadata', settings.metadata);
  for (const [index, name] of (settings.mlTypes ?? []).slice(0, 64).entries()) {
    if (!isMlType(name)) checks.add(`ml_types[${index}]`, `must be one of ${mlTypeNames.join(', ')}`);
  }
  return checks;
}
