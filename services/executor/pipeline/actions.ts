import { AppError } from '@signet/kit/error/app-error.ts';
import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import { toParsedSpec } from '@signet/signature/parsed-spec.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { SignatureError } from '@signet/signature/signature-error.ts';

/**
 * Runs an action, so far `signature.parse`: reads the text under `spec` as a signature and gives its inputs and outputs. Fails with
 * INPUT_INVALID for what is no text, with SIGNATURE_SYNTAX or SIGNATURE_TYPE for what is no signature.
 */
export function runAction(name: string, inputs: JsonObject): JsonValue {
  if (name !== 'signature.parse') throw new AppError('MODULE_INVALID', `There is no action \`${name}\` here`);
  const spec = inputs.get('spec');
  if (typeof spec !== 'string') {
    const fieldViolations = [{ field: 'inputs.spec', reason: 'TYPE_MISMATCH', description: 'must be a string' }];
    throw new AppError('INPUT_INVALID', 'Input validation failed: spec: must be a string', { fieldViolations });
  }
  try {
    return toParsedSpec(parseSpec(spec, { mlTypes: ['embedding', 'probability', 'tensor'] }));
  } catch (error) {
    if (error instanceof SignatureError) throw new AppError(error.reason, error.message);
    throw error;
  }
}
