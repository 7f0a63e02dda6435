import type { GrpcPeer, OutgoingContext } from '@signet/kit/grpc/client.ts';
import { DatasetInternalServiceService as methods } from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import { Split as WireSplit } from '@signet/proto/gen/signet/v1/dataset.ts';

/** What an example is used for. */
export type Split = 'train' | 'validation' | 'test';

/** A version of a dataset, as its owner, the registry, tells it. */
export type DatasetVersion = {
  readonly id: string;
  readonly slug: string;
  /** 0 if nothing was imported yet. */
  readonly version: number;
  readonly exampleCount: number;
  readonly splitCounts: Readonly<Record<Split, number>>;
  readonly isDeleted: boolean;
};

/** One example. */
export type DatasetExample = {
  readonly id: string;
  /** From 1, rising with gaps. */
  readonly position: number;
  readonly split: Split;
  /** JSON text of an object. */
  readonly inputsJson: string;
  /** JSON text of an object; fields that nobody knows are missing. */
  readonly outputsJson: string;
  /** How much it counts against others: from 0.000001 to 1,000,000. */
  readonly weight: number;
};

/** Which examples to read. */
export type ExampleQuery = {
  /** Id or slug. */
  readonly dataset: string;
  readonly version: number;
  /** Empty means all. */
  readonly splits: readonly Split[];
  readonly afterPosition?: number;
  /** At most so many; absent means all. */
  readonly limit?: number;
};

/** What an executor asks of the registry about datasets. */
export type DatasetClient = {
  /** Finds a dataset and one of its versions, 0 being the newest. Fails with DATASET_NOT_FOUND and VERSION_NOT_FOUND. */
  resolve(dataset: string, version: number, ctx: OutgoingContext): Promise<DatasetVersion>;
  /** Streams examples by position. Fails with DATASET_NOT_FOUND and VERSION_NOT_FOUND. */
  read(query: ExampleQuery, ctx: OutgoingContext): AsyncIterable<DatasetExample>;
};

/** Makes the client over a channel to the registry. */
export function createDatasetClient(peer: Pick<GrpcPeer, 'unary' | 'stream'>): DatasetClient {
  return {
    async resolve(dataset, version, ctx) {
      const resolved = await peer.unary(methods.resolveDataset, { dataset, version }, ctx);
      const { train = 0n, validation = 0n, test = 0n } = resolved.splitCounts ?? {};
      return {
        id: resolved.datasetId,
        slug: resolved.slug,
        version: resolved.version,
        exampleCount: Number(resolved.exampleCount),
        splitCounts: { train: Number(train), validation: Number(validation), test: Number(test) },
        isDeleted: resolved.deleted,
      };
    },
    async *read({ dataset, version, splits, afterPosition = 0, limit = 0 }, ctx) {
      const request = {
        dataset,
        version,
        splits: splits.map((split) => wireSplits[split]),
        afterPosition: BigInt(afterPosition),
        limit: BigInt(limit),
      };
      for await (const { examples } of peer.stream(methods.readExamples, request, ctx)) {
        for (const example of examples) {
          yield {
            id: example.id,
            position: Number(example.position),
            split: splitOf(example.split),
            inputsJson: example.inputsJson.toString('utf8'),
            outputsJson: example.outputsJson.toString('utf8'),
            weight: example.weight,
          };
        }
      }
    },
  };
}

const wireSplits: Readonly<Record<Split, WireSplit>> = {
  train: WireSplit.SPLIT_TRAIN,
  validation: WireSplit.SPLIT_VALIDATION,
  test: WireSplit.SPLIT_TEST,
};

/** A split by its number on the wire. */
export function splitOf(split: WireSplit): Split {
  if (split === WireSplit.SPLIT_VALIDATION) return 'validation';
  return split === WireSplit.SPLIT_TEST ? 'test' : 'train';
}
