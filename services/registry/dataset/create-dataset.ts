import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { isStorableText } from '@signet/signature/json.ts';
import { printSpec } from '@signet/signature/print.ts';
import { mlTypeNames } from '@signet/signature/types.ts';
import { FieldChecks } from '../check/field-checks.ts';
import { programNotFound, versionNotFound } from '../program/program.ts';
import { deriveSlug, isSlug } from '../program/slug.ts';
import type { ProgramStore } from '../program/store.postgres.ts';
import { readSpec, signatureNotFound } from '../signature/signature.ts';
import type { SignatureStore } from '../signature/store.postgres.ts';
import type { Dataset } from './dataset.ts';
import { type DatasetStore, slugTaken } from './store.postgres.ts';

/** What making datasets needs. */
export type CreateDatasetDeps = {
  readonly datasets: DatasetStore;
  readonly signatures: SignatureStore;
  readonly programs: ProgramStore;
};

/** A new dataset; exactly one of `signature`, `signatureSpec` and `program` is not empty. */
export type CreateDatasetInput = {
  readonly name: string;
  readonly slug: string;
  readonly description: string;
  readonly signature: string;
  readonly signatureSpec: string;
  readonly program: string;
  /** The program's version; 0 means the newest. */
  readonly programVersion: number;
  readonly labels: Record<string, string>;
};

/** What a dataset checks its examples by. */
export type DatasetTyping = Pick<Dataset, 'signatureSpec' | 'signatureId' | 'strictMode'>;

/**
 * Makes an empty dataset. Fails with INVALID_REQUEST, NAME_TAKEN for a given slug, SIGNATURE_SYNTAX, SIGNATURE_TYPE,
 * SIGNATURE_NOT_FOUND, PROGRAM_NOT_FOUND and VERSION_NOT_FOUND.
 */
export async function createDataset(deps: CreateDatasetDeps, input: CreateDatasetInput): Promise<Dataset> {
  checkInput(input);
  const typing = await chooseTyping(deps, input);
  const { name, description, labels } = input;
  const insert = (slug: string) => deps.datasets.create({ name, description, labels, ...typing, slug });
  if (input.slug !== '') {
    const made = await insert(input.slug);
    if (made === undefined) throw slugTaken(input.slug);
    return made;
  }
  const base = deriveSlug(name, 'dataset');
  // Only one whose slug was given can come between, as those of one base wait for each other.
  for (let attempt = 0; attempt < 5; attempt++) {
    const made = await insert(await deps.datasets.nextSlug(base));
    if (made !== undefined) return made;
  }
  throw new AppError('WRITE_CONFLICT', 'No free slug was found; try again');
}

function checkInput(input: CreateDatasetInput): void {
  const checks = new FieldChecks();
  checks.text('name', input.name, { max: 200, required: true, oneLine: true });
  if (input.slug !== '' && !isSlug(input.slug)) checks.add('slug', 'must match ^[a-z][a-z0-9-]{0,62}$', 'SLUG');
  checks.text('description', input.description, { max: 10_000 });
  checks.labels('labels', input.labels);
  const given = [input.signature, input.signatureSpec, input.program].filter((text) => text !== '').length;
  if (given === 0) checks.add('signature_spec', 'is required: signature, signature_spec or program', 'REQUIRED');
  if (given > 1) checks.add('signature_spec', 'give exactly one of signature, signature_spec and program', 'AMBIGUOUS');
  checks.done();
}

async function chooseTyping(deps: CreateDatasetDeps, input: CreateDatasetInput): Promise<DatasetTyping> {
  if (input.signatureSpec !== '') {
    const spec = printSpec(readSpec(input.signatureSpec, mlTypeNames, 'signature_spec'));
    return { signatureSpec: spec, signatureId: null, strictMode: true };
  }
  if (input.program !== '') return programTyping(deps, input.program, input.programVersion);
  if (!isStorableText(input.signature)) {
    throw invalidField('signature', 'must not hold \\u0000 or half a surrogate pair', 'TEXT_INVALID');
  }
  const found = await deps.signatures.find(input.signature);
  if (found === undefined) throw signatureNotFound(input.signature);
  return { signatureSpec: found.spec, signatureId: found.id, strictMode: found.strictMode };
}

async function programTyping(deps: CreateDatasetDeps, named: string, version: number): Promise<DatasetTyping> {
  const program = await deps.programs.find(named);
  if (program === undefined) throw programNotFound(named);
  const found = await deps.programs.version(program.id, version === 0 ? program.latestVersion : version);
  if (found === undefined) throw versionNotFound(named, version);
  const { spec, id, strictMode } = found.signature;
  return { signatureSpec: spec, signatureId: id === '' ? null : id, strictMode };
}
