import type { Dialect } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import type { CaseOutcome } from './outcome.ts';
import { FileError } from './read-file.ts';
import type { Runner } from './runner.ts';

/** True for the first line of a generated file. */
export function isHeader(record: JsonObject): boolean {
  return record.get('kind') === 'header';
}

/** What the sidecar has in place of the versions that made the file; nothing if they are the same. Another Python is a note. */
export function checkHeader(
  file: string,
  record: JsonObject,
  dialect: Dialect,
  note: (text: string) => void,
): string | undefined {
  const isCorpus = record.has('generated_with');
  if (!isCorpus && !isHeader(record)) throw new FileError(`${file}: the first line is no header`);
  if (!isCorpus && `${textOf(record.get('format'))}` !== '1') throw new FileError(`${file}: the format is not 1`);
  const versions = record.get(isCorpus ? 'generated_with' : 'versions');
  if (!(versions instanceof Map)) throw new FileError(`${file}: the header tells no versions`);
  const found: string[] = [];
  const here = [
    ['dspy', dialect.dspy],
    ['json_repair', dialect.jsonRepair],
    ['pydantic', dialect.pydantic],
  ] as const;
  for (const [name, own] of here) {
    if (versions.get(name) !== own) found.push(`${name} ${String(versions.get(name))}, here ${own}`);
  }
  const python = versions.get('python');
  if (python !== dialect.python) note(`${file} was made by Python ${String(python)}, here is ${dialect.python}`);
  return found.length === 0 ? undefined : found.join('; ');
}

function textOf(value: unknown): string {
  return typeof value === 'object' && value !== null && 'text' in value ? String(value.text) : String(value);
}

/** One case of a file, not yet run. */
export type Case = {
  readonly kind: string;
  readonly record: JsonObject;
  readonly run: (runner: Runner) => Promise<CaseOutcome>;
};
