import {
  type InternalExample,
  DatasetInternalServiceService as inner,
  ReadExamplesRequest,
} from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import {
  CreateDatasetRequest,
  DatasetServiceService as datasets,
  ImportExamplesRequest,
} from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { useTestRegistry } from './use-registry.ts';

/** A registry for a test file, and what its tests do with datasets. */
export function useDatasets() {
  const registry = useTestRegistry();
  let made = 0;
  const create = (fields: Partial<CreateDatasetRequest> = {}) => {
    const typed =
      fields.signature || fields.program
        ? {}
        : { signatureSpec: 'question: str, k: int = 3 -> answer: str, score: float' };
    const request = CreateDatasetRequest.fromPartial({ name: `set ${++made}`, ...typed, ...fields });
    return registry.call(datasets.createDataset, request, 'editor');
  };
  async function* pieces(
    dataset: string,
    text: string | readonly unknown[],
    options: Partial<ImportExamplesRequest> = {},
  ): AsyncGenerator<ImportExamplesRequest> {
    const file = typeof text === 'string' ? text : text.map((row) => JSON.stringify(row)).join('\n');
    const bytes = Buffer.from(file);
    yield ImportExamplesRequest.fromPartial({ dataset, ...options, data: bytes.subarray(0, 10) });
    for (let at = 10; at < bytes.length; at += 1000) {
      yield ImportExamplesRequest.fromPartial({ data: bytes.subarray(at, at + 1000) });
    }
  }
  const bring = (dataset: string, text: string | readonly unknown[], options: Partial<ImportExamplesRequest> = {}) =>
    registry.upload(datasets.importExamples, pieces(dataset, text, options), 'editor');
  const examples = async (dataset: string, more: Partial<ReadExamplesRequest> = {}): Promise<InternalExample[]> => {
    const found: InternalExample[] = [];
    const request = ReadExamplesRequest.fromPartial({ dataset, ...more });
    for await (const page of registry.stream(inner.readExamples, request)) found.push(...page.examples);
    return found;
  };
  const staged = async (): Promise<number> => {
    const counts = await registry.sql.query(
      'select (select count(*) from registry.example_staging) + (select count(*) from registry.example_imports) as total',
    );
    return Number(counts.rows[0].total);
  };
  return { registry, create, bring, examples, staged };
}

/** Bytes as text. */
export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

/** A row of the datasets that `create` makes. */
export const rowOf = (index: number, more: object = {}) => ({
  inputs: { question: `q${index}` },
  outputs: { answer: `a${index}` },
  ...more,
});
