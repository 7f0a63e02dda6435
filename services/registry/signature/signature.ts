import { createHash } from 'node:crypto';
import { AppError } from '@signet/kit/error/app-error.ts';
import { complexityOf } from '@signet/signature/complexity.ts';
import { specModuleName } from '@signet/signature/module-name.ts';
import { type ParserName, parseSpecWith } from '@signet/signature/parse-with.ts';
import { printFieldType, printSpec } from '@signet/signature/print.ts';
import { SignatureError } from '@signet/signature/signature-error.ts';
import { type Field, isOptional, type MlTypeName, mlTypeNames, type SignatureSpec } from '@signet/signature/types.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { JsonRecord } from '../check/field-checks.ts';

/** Where a signature stands in its life. */
export type SignatureStatus = 'draft' | 'active' | 'deprecated';

/** One field as it is stored and shown; all digits are text. */
export type StoredField = {
  readonly name: string;
  readonly type: string;
  readonly description: string;
  readonly optional: boolean;
  /** JSON text; empty if there is no default. */
  readonly defaultJson: string;
  readonly constraints: readonly { readonly name: string; readonly value: string }[];
};

/** A signature as it is kept. */
export type Signature = {
  readonly id: string;
  readonly name: string;
  readonly module: string;
  readonly spec: string;
  readonly inputs: StoredField[];
  readonly outputs: StoredField[];
  readonly description: string;
  readonly version: string;
  readonly status: SignatureStatus;
  readonly metadata: JsonRecord;
  readonly strictMode: boolean;
  readonly mlTypes: string[];
  readonly complexity: number;
  readonly labels: Record<string, string>;
  readonly rowVersion: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

/** A signature as a snapshot keeps it: JSON, times as text. */
export type StoredSignature = Omit<Signature, 'createTime' | 'updateTime'> & {
  readonly createTime: string;
  readonly updateTime: string;
};

/** What a worker's signature module declares; `error` says why it could not be read. */
export type ReportedModule = {
  readonly name: string;
  readonly spec: string;
  readonly description: string;
  readonly error: string;
};

/** A snapshot of a signature. */
export type SignatureVersion = {
  readonly id: string;
  readonly signatureId: string;
  readonly revision: number;
  readonly signature: Signature;
  readonly createTime: Date;
};

/** What a specification decides about a signature. */
export type SpecColumns = Pick<Signature, 'spec' | 'inputs' | 'outputs' | 'complexity'>;

/** Parses a specification, what is stored always by `enhanced`; SIGNATURE_SYNTAX or SIGNATURE_TYPE with line and column, about `field` of the request. */
export function readSpec(
  text: string,
  mlTypes: readonly string[],
  field = 'spec',
  parser: ParserName = 'enhanced',
): SignatureSpec {
  try {
    return parseSpecWith(parser, text, { mlTypes: mlTypes.filter(isMlType) });
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    throw new AppError(error.reason, error.message, {
      metadata: { line: String(error.line), column: String(error.column), field },
      fieldViolations: [{ field, reason: error.reason, description: error.message }],
      cause: error,
    });
  }
}

/** True if a word names a machine-learning type. */
export function isMlType(name: string): name is MlTypeName {
  return (mlTypeNames as readonly string[]).includes(name);
}

/** The columns that follow from a parsed specification. */
export function specColumns(parsed: SignatureSpec): SpecColumns {
  return {
    spec: printSpec(parsed),
    inputs: parsed.inputs.map(toStoredField),
    outputs: parsed.outputs.map(toStoredField),
    complexity: complexityOf(parsed),
  };
}

function toStoredField(field: Field): StoredField {
  return {
    name: field.name,
    type: printFieldType(field),
    description: field.description ?? '',
    optional: isOptional(field),
    defaultJson: field.default === undefined ? '' : writeJson(field.default),
    constraints: field.constraints.map(({ name, value }) => ({ name, value: value.text })),
  };
}

/**
 * The module names under which a specification is looked for, in order: 12 hex digits of its hash, and longer ones for the case that
 * another specification stands under the shorter.
 */
export function specModules(spec: string): string[] {
  const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
  const hash = sha256Hex(spec);
  return [specModuleName(spec, sha256Hex), `Spec.S${hash.slice(0, 24)}`, `Spec.S${hash}`];
}

/** The name of a signature that nobody named: its specification in at most 80 characters. */
export function defaultName(spec: string): string {
  if (spec.length <= 80) return spec;
  const cut = spec.slice(0, 79);
  return `${cut.isWellFormed() ? cut : cut.slice(0, 78)}…`;
}

/** A snapshot of a signature as it is now. */
export function toSnapshot(signature: Signature): StoredSignature {
  return {
    ...signature,
    createTime: signature.createTime.toISOString(),
    updateTime: signature.updateTime.toISOString(),
  };
}

/** A signature out of a snapshot. */
export function fromSnapshot(stored: StoredSignature): Signature {
  return { ...stored, createTime: new Date(stored.createTime), updateTime: new Date(stored.updateTime) };
}

/** The error for a signature that is not there. */
export function signatureNotFound(named: string): AppError {
  const resource = named.slice(0, 300);
  return new AppError('SIGNATURE_NOT_FOUND', `There is no signature \`${resource}\``, { metadata: { resource } });
}

/** Throws SIGNATURE_DEPRECATED if no new program may use the signature. */
export function refuseDeprecated(signature: Signature): void {
  if (signature.status !== 'deprecated') return;
  throw new AppError('SIGNATURE_DEPRECATED', 'Signature is deprecated', {
    metadata: { signature: signature.module, state: signature.status },
  });
}
