import { mlTypeNames } from '@signet/signature/types.ts';
import type { UnitOfWork } from '../repeat/handle.ts';
import { readSpec } from '../signature/signature.ts';
import type { SplitCounts } from './dataset.ts';
import { selectVersion } from './read-datasets.ts';
import { type ReadExampleDeps, readExamples } from './read-examples.ts';
import { createStatisticsGatherer, type ExampleStatistics } from './statistics.ts';

/** A version of a dataset in figures. */
export type DatasetStatistics = ExampleStatistics &
  SplitCounts & {
    readonly datasetId: string;
    readonly version: number;
    readonly exampleCount: number;
    readonly duplicateCount: number;
  };

/**
 * Reads a version in figures: worked out by the first who asks, kept then, as versions never change. Fails with DATASET_NOT_FOUND,
 * VERSION_NOT_FOUND and INVALID_REQUEST.
 */
export async function getDatasetStatistics(
  deps: { readonly work: UnitOfWork<ReadExampleDeps> },
  input: { readonly dataset: string; readonly version: number },
): Promise<DatasetStatistics> {
  const { dataset, version } = await deps.work.read((stores) => selectVersion(stores, { ...input, splits: [] }));
  const { id: datasetId } = dataset;
  const number = version?.version ?? 0;
  const gathered = await deps.work.read(async ({ datasets, examples }): Promise<ExampleStatistics> => {
    const kept = await datasets.statistics(datasetId, number);
    if (kept !== undefined) return JSON.parse(kept);
    const gatherer = createStatisticsGatherer(readSpec(dataset.signatureSpec, mlTypeNames, 'signature_spec'));
    const query = { datasetId, version: number, splits: [], afterPosition: 0, limit: 0 };
    for await (const page of readExamples(examples.read, query)) {
      for (const example of page) gatherer.add(example);
    }
    const made = gatherer.result();
    if (number > 0) await datasets.keepStatistics(datasetId, number, JSON.stringify(made));
    return made;
  });
  const duplicateCount = await deps.work.read(({ datasets }) => datasets.duplicatesUpTo(datasetId, number));
  const { exampleCount = 0, trainCount = 0, validationCount = 0, testCount = 0 } = version ?? {};
  return {
    ...gathered,
    datasetId,
    version: number,
    exampleCount,
    ...{ trainCount, validationCount, testCount },
    duplicateCount,
  };
}
