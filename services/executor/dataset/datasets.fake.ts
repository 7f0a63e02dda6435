import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import type { DatasetClient, DatasetExample, Split } from './datasets.grpc.ts';

/** One example to be put into the stand-in. */
export type FakeExample = {
  readonly inputs: object;
  readonly outputs?: object;
  readonly split?: Split;
  readonly weight?: number;
};

/** Datasets in memory, in place of the registry's. */
export type FakeDatasets = DatasetClient & {
  /** Makes a dataset of one version. */
  put(slug: string, examples: readonly FakeExample[]): void;
  /** Fails every question with this until it is called without one. */
  refuse(error?: AppError): void;
  /** How many pages were asked for. */
  readonly reads: number;
};

type Kept = { readonly id: string; readonly slug: string; readonly examples: readonly DatasetExample[] };

/** Makes the stand-in. */
export function createFakeDatasets(): FakeDatasets {
  const datasets = new Map<string, Kept>();
  let refusal: AppError | undefined;
  let reads = 0;
  const find = (name: string): Kept => {
    if (refusal !== undefined) throw refusal;
    const found = [...datasets.values()].find(({ id, slug }) => id === name || slug === name);
    if (found === undefined) throw new AppError('DATASET_NOT_FOUND', `There is no dataset \`${name}\``);
    return found;
  };
  return {
    get reads() {
      return reads;
    },
    refuse(error) {
      refusal = error;
    },
    put(slug, examples) {
      const kept = examples.map(({ inputs, outputs = {}, split = 'test', weight = 1 }, at) => ({
        id: newId(),
        // With gaps, as where rows were replaced.
        position: 2 * at + 1,
        split,
        inputsJson: JSON.stringify(inputs),
        outputsJson: JSON.stringify(outputs),
        weight,
      }));
      datasets.set(slug, { id: newId(), slug, examples: kept });
    },
    async resolve(dataset) {
      const { id, slug, examples } = find(dataset);
      const count = (split: Split): number => examples.filter((example) => example.split === split).length;
      const splitCounts = { train: count('train'), validation: count('validation'), test: count('test') };
      return { id, slug, version: 1, exampleCount: examples.length, splitCounts, isDeleted: false };
    },
    async *read({ dataset, splits, afterPosition = 0, limit = 0 }) {
      reads += 1;
      const asked = find(dataset).examples.filter(
        ({ split, position }) => (splits.length === 0 || splits.includes(split)) && position > afterPosition,
      );
      yield* limit === 0 ? asked : asked.slice(0, limit);
    },
  };
}
