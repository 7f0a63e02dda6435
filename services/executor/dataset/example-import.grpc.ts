import type { GrpcPeer, OutgoingContext } from '@signet/kit/grpc/client.ts';
import {
  AddExamplesRequest,
  DatasetInternalServiceService as methods,
} from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import {
  type DuplicatePolicy,
  type FaultPolicy,
  type ImportResult,
  ImportSource,
  type Split,
  type SplitRatios,
} from '@signet/proto/gen/signet/v1/dataset.ts';
import type { ExecutionExample } from './execution-example.ts';

/** What an import came to, as the registry answers it. */
export type ImportOutcome = ImportResult;

/** What is to be done with the examples: passed on to the registry as callers said it. */
export type ImportOrder = {
  readonly dataset: string;
  readonly split: Split;
  readonly ratios: SplitRatios | undefined;
  readonly seed: bigint;
  readonly duplicates: DuplicatePolicy;
  readonly onError: FaultPolicy;
  readonly note: string;
};

/** Adds executions to datasets. */
export type ExampleImporter = {
  /** Hands over pages of examples as one import, best first. Fails as ImportExecutions does. */
  add(
    order: ImportOrder,
    pages: AsyncIterable<readonly ExecutionExample[]>,
    ctx: OutgoingContext,
  ): Promise<ImportOutcome>;
};

/** Makes the importer over a channel to the registry. */
export function createExampleImporter(peer: Pick<GrpcPeer, 'upload'>): ExampleImporter {
  return {
    add: (order, pages, ctx) => peer.upload(methods.addExamples, toRequests(order, pages), ctx),
  };
}

async function* toRequests(
  order: ImportOrder,
  pages: AsyncIterable<readonly ExecutionExample[]>,
): AsyncGenerator<AddExamplesRequest, void> {
  const none = AddExamplesRequest.fromPartial({});
  yield { ...none, ...order, source: ImportSource.IMPORT_SOURCE_EXECUTIONS, bestFirst: true };
  for await (const page of pages) {
    const rows = page.map(({ executionId, inputsJson, outputsJson, label }) => ({
      inputsJson: Buffer.from(inputsJson),
      outputsJson: Buffer.from(outputsJson),
      split: 0 as const,
      weight: 0,
      label,
      sourceExecutionId: executionId,
    }));
    yield { ...none, rows };
  }
}
