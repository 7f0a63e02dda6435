import { isObject, JsonError, type JsonObject, jsonFromPlain } from '@signet/signature/json.ts';
import type { Field } from '@signet/signature/types.ts';
import { checkValues } from '@signet/signature/value.ts';
import { requireEtag } from '../check/etag.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import { readSpec, refuseDeprecated, type Signature, signatureNotFound } from './signature.ts';
import type { SignatureStore } from './store.postgres.ts';

/** What an optimizer found for a signature, and the state of it that the caller saw. */
export type OptimizeSignatureInput = {
  readonly signature: string;
  readonly results?: JsonRecord | undefined;
  readonly etag: string;
};

const root = 'optimization_results';
const demosMax = 64;

/**
 * Keeps what an optimizer found in `metadata.optimization` and counts the version up; the former state stays as a snapshot. Programs made
 * before keep what they have. Fails with SIGNATURE_NOT_FOUND, SIGNATURE_DEPRECATED, ETAG_MISMATCH and INVALID_REQUEST.
 */
export async function optimizeSignature(
  deps: { readonly signatures: SignatureStore },
  input: OptimizeSignatureInput,
): Promise<Signature> {
  const checks = new FieldChecks();
  const results = input.results ?? {};
  if (Object.keys(results).length === 0) checks.add(root, 'is required, with at least one key', 'REQUIRED');
  checks.json(root, results);
  checks.done();
  const signature = await deps.signatures.lock(input.signature);
  if (signature === undefined) throw signatureNotFound(input.signature);
  requireEtag(signature, input.etag);
  refuseDeprecated(signature);
  checkResults(signature, results, checks);
  checks.done();
  const before = signature.metadata.optimization;
  return deps.signatures.change(signature, {
    version: nextVersion(signature.version),
    metadata: { ...signature.metadata, optimization: { ...(isRecord(before) ? before : {}), ...results } },
  });
}

/** The version after one: `1.0.0` is followed by `1.1.0`; of other texts the last number goes up, or `.1` is added. */
export function nextVersion(version: string): string {
  const semantic = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})$/.exec(version);
  if (semantic !== null) return `${semantic[1]}.${Number(semantic[2]) + 1}.0`;
  const counted = /^(.*?)(\d{1,9})$/.exec(version);
  return (counted === null ? `${version}.1` : `${counted[1]}${Number(counted[2]) + 1}`).slice(-64);
}

function checkResults(signature: Signature, results: JsonRecord, checks: FieldChecks): void {
  const { inputs, outputs } = readSpec(signature.spec, signature.mlTypes);
  const fields: readonly Field[] = [...inputs, ...outputs];
  const { instructions, field_descriptions: descriptions, demos } = results;
  if (instructions !== undefined) {
    if (typeof instructions !== 'string') checks.add(`${root}.instructions`, 'must be a text');
    else checks.text(`${root}.instructions`, instructions, { max: 20_000, required: true });
  }
  if (descriptions !== undefined) checkDescriptions(fields, descriptions, checks);
  if (demos !== undefined) checkDemoValues(signature, fields, demos, checks);
}

function checkDescriptions(fields: readonly Field[], descriptions: unknown, checks: FieldChecks): void {
  const path = `${root}.field_descriptions`;
  if (!isRecord(descriptions)) {
    checks.add(path, 'must be an object of field names and texts');
    return;
  }
  for (const [name, text] of Object.entries(descriptions)) {
    const field = `${path}[${JSON.stringify(name.slice(0, 64).toWellFormed())}]`;
    if (!fields.some((known) => known.name === name))
      checks.add(field, 'the signature has no such field', 'FIELD_UNKNOWN');
    else if (typeof text !== 'string') checks.add(field, 'must be a text');
    else checks.text(field, text, { max: 2000 });
  }
}

function checkDemoValues(
  { strictMode }: Signature,
  fields: readonly Field[],
  demos: unknown,
  checks: FieldChecks,
): void {
  const path = `${root}.demos`;
  if (!Array.isArray(demos)) {
    checks.add(path, 'must be a list of objects');
    return;
  }
  if (demos.length > demosMax) checks.add(path, `must have at most ${demosMax} entries`, 'TOO_MANY');
  for (const [index, demo] of demos.slice(0, demosMax).entries()) {
    const demoRoot = `${path}[${index}]`;
    const known = knownValues(fields, demo);
    if (known === undefined) {
      checks.add(demoRoot, 'must be an object');
      continue;
    }
    const result = checkValues(fields, known, { strictMode, root: demoRoot, partial: true });
    if (result.ok) continue;
    for (const { field, description, reason } of result.violations) checks.add(field, description, reason);
  }
}

function knownValues(fields: readonly Field[], demo: unknown): JsonObject | undefined {
  try {
    const value = jsonFromPlain(demo);
    if (!isObject(value)) return undefined;
    return new Map(fields.flatMap(({ name }) => (value.has(name) ? [[name, value.get(name)!] as const] : [])));
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}

function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
