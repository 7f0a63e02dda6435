import { writeCell } from '@signet/rows/cell.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { mlTypeNames, type SignatureSpec } from '@signet/signature/types.ts';
import { stringify } from 'csv-stringify/sync';
import type { UnitOfWork } from '../repeat/handle.ts';
import { readSpec } from '../signature/signature.ts';
import type { Example } from './dataset.ts';
import { type SelectExamples, selectVersion } from './read-datasets.ts';
import { type ReadExampleDeps, readExamples } from './read-examples.ts';

/** How examples are written. */
export type ExampleFormat = 'ndjson' | 'csv';

/** A piece of a file; all pieces of one file say the same type. */
export type FilePiece = { readonly contentType: string; readonly text: string };

// Well under what a message may have, even where each character takes three bytes.
const pieceMax = 512 * 1024;

/** Writes the examples of a version as a file that can be imported again. Fails with DATASET_NOT_FOUND, VERSION_NOT_FOUND and INVALID_REQUEST. */
export async function* exportExamples(
  deps: { readonly work: UnitOfWork<ReadExampleDeps> },
  input: SelectExamples & { readonly format: ExampleFormat },
): AsyncGenerator<FilePiece, void> {
  const { dataset, version } = await deps.work.read((stores) => selectVersion(stores, input));
  const spec = readSpec(dataset.signatureSpec, mlTypeNames, 'signature_spec');
  const contentType = input.format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson';
  const write = input.format === 'csv' ? createCsvWriter(spec) : writeNdjson;
  let text = input.format === 'csv' ? csvHeader(spec) : '';
  const query = {
    datasetId: dataset.id,
    version: version?.version ?? 0,
    splits: input.splits,
    afterPosition: 0,
    limit: 0,
  };
  const pages = readExamples((page) => deps.work.read(({ examples }) => examples.read(page)), query);
  for await (const page of pages) {
    for (const example of page) {
      text += write(example);
      if (text.length < pieceMax) continue;
      yield { contentType, text };
      text = '';
    }
  }
  yield { contentType, text };
}

function writeNdjson({ inputs, outputs, split, weight, label, sourceExecutionId }: Example): string {
  const about = {
    split,
    ...(weight === 1 ? {} : { weight }),
    ...(label === '' ? {} : { label }),
    ...(sourceExecutionId === null ? {} : { sourceExecutionId }),
  };
  return `{"inputs":${inputs},"outputs":${outputs},${JSON.stringify(about).slice(1)}\n`;
}

// With a sign in front, so that no field of a signature can be meant.
const aboutColumns = ['$split', '$weight', '$label', '$source_execution_id'];

function csvHeader(spec: SignatureSpec): string {
  return line([...[...spec.inputs, ...spec.outputs].map(({ name }) => name), ...aboutColumns]);
}

function createCsvWriter(spec: SignatureSpec): (example: Example) => string {
  return ({ inputs, outputs, split, weight, label, sourceExecutionId }) => {
    const given = parseJson(inputs) as JsonObject;
    const expected = parseJson(outputs) as JsonObject;
    return line([
      ...spec.inputs.map((field) => writeCell(field, given.get(field.name))),
      ...spec.outputs.map((field) => writeCell(field, expected.get(field.name))),
      ...[split, String(weight), label, sourceExecutionId ?? ''],
    ]);
  };
}

const line = (cells: readonly string[]): string => stringify([[...cells]], { quoted_match: /[\r\n]/ });
