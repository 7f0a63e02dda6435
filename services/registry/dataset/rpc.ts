import type { CallContext } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Empty } from '@signet/proto/gen/google/protobuf/empty.ts';
import {
  AddExamplesRequest as AddExamples,
  type AddExamplesRequest,
  type DatasetInternalServiceService,
} from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import { Dataset as WireDataset } from '@signet/proto/gen/signet/v1/dataset.ts';
import {
  type DatasetServiceService,
  ImportExamplesRequest as ImportExamples,
  type ImportExamplesRequest,
} from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { readCsv } from '@signet/rows/csv.ts';
import { readNdjson } from '@signet/rows/ndjson.ts';
import { payloadKind } from '../program/wire.ts';
import { changedBy, created, handleChange, type UnitOfWork } from '../repeat/handle.ts';
import type { RepeatDeps } from '../repeat/run-once.ts';
import { type CreateDatasetDeps, createDataset } from './create-dataset.ts';
import type { ImportResult, Split } from './dataset.ts';
import { deleteDataset } from './delete-dataset.ts';
import { ensureDataset } from './ensure-dataset.ts';
import { exportExamples } from './export-examples.ts';
import { getDatasetStatistics } from './get-dataset-statistics.ts';
import type { GivenRow, RowReader } from './given-example.ts';
import { type ImportDeps, importExamples } from './import-examples.ts';
import { getDataset, getDatasetVersion, listDatasets, listDatasetVersions, resolveDataset } from './read-datasets.ts';
import { listExamples, type ReadExampleDeps, readExamples } from './read-examples.ts';
import { updateDataset } from './update-dataset.ts';
import {
  readFormat,
  readImport,
  readNewExample,
  readSource,
  readSplit,
  readUpdate,
  toInternalExample,
  toWireDataset,
  toWireExample,
  toWireResolved,
  toWireResult,
  toWireStatistics,
  toWireVersion,
} from './wire.ts';

type StoresOf<Deps> = Deps extends { readonly work: UnitOfWork<infer Stores> } ? Stores : never;
type Stores = CreateDatasetDeps & ReadExampleDeps & StoresOf<ImportDeps> & RepeatDeps;

/** What the handlers need. */
export type DatasetRpcDeps = { readonly work: UnitOfWork<Stores> };

/** The handlers of DatasetService. */
export function createDatasetHandlers({ work }: DatasetRpcDeps): Handlers<typeof DatasetServiceService> {
  return {
    createDataset: (request, ctx) =>
      handleChange(work, 'CreateDataset', request, WireDataset, ctx, async (stores) => {
        const dataset = await createDataset(stores, { ...request, programVersion: 0 });
        return { response: toWireDataset(dataset), reply: created(`/v1/datasets/${dataset.id}`) };
      }),
    getDataset: async ({ dataset }) => toWireDataset(await work.read((stores) => getDataset(stores, dataset))),
    listDatasets: async (request) => {
      const { items, nextPageToken } = await work.read((stores) => listDatasets(stores, request));
      return { datasets: items.map(toWireDataset), nextPageToken };
    },
    updateDataset: (request, ctx) =>
      handleChange(work, 'UpdateDataset', request, WireDataset, ctx, async (stores) => ({
        response: toWireDataset(await updateDataset(stores, readUpdate(request))),
      })),
    deleteDataset: (request, ctx) =>
      handleChange(work, 'DeleteDataset', request, Empty, ctx, async (stores) => {
        await deleteDataset(stores, request);
        return { response: {} };
      }),
    listDatasetVersions: async (request) => {
      const { items, nextPageToken } = await work.read((stores) => listDatasetVersions(stores, request));
      return { versions: items.map(toWireVersion), nextPageToken };
    },
    getDatasetVersion: async (request) =>
      toWireVersion(await work.read((stores) => getDatasetVersion(stores, request))),
    importExamples: async (requests, ctx) => {
      const { first, all } = await begin(requests, ImportExamples.fromPartial({}));
      const format = readFormat(first.format) ?? refuseFormat();
      const isCsv = format === 'csv' || (first.format === 0 && first.contentType.trim().startsWith('text/csv'));
      const options = {
        ...readImport(first),
        source: isCsv ? 'csv' : 'ndjson',
        columns: first.columns,
        bestFirst: false,
      } as const;
      const rows = isCsv ? csvRows : jsonRows;
      return answerImport(await importExamples({ work }, options, (reader) => rows(dataOf(all), reader), ctx), ctx);
    },
    listExamples: async (request, ctx) => {
      const input = { ...request, splits: splitsOf([request.split]) };
      const { items, nextPageToken } = await work.read((stores) => listExamples(stores, input));
      return { examples: items.map((example) => toWireExample(example, payloadKind(ctx))), nextPageToken };
    },
    exportExamples: async function* (request) {
      const { dataset, version } = request;
      const format = readFormat(request.format) ?? refuseFormat();
      for await (const piece of exportExamples(
        { work },
        { dataset, version, format, splits: splitsOf([request.split]) },
      )) {
        yield { contentType: piece.contentType, data: Buffer.from(piece.text), extensions: [] };
      }
    },
    getDatasetStatistics: async (request) => toWireStatistics(await getDatasetStatistics({ work }, request)),
  };
}

/** The handlers of datasets between our own processes. */
export function createDatasetInternalHandlers({
  work,
}: DatasetRpcDeps): Handlers<typeof DatasetInternalServiceService> {
  return {
    resolveDataset: async (request) => toWireResolved(await work.read((stores) => resolveDataset(stores, request))),
    ensureDataset: async ({ version, ...request }, ctx) => {
      const input = { ...request, programVersion: version };
      const dataset = await work.change((stores) => ensureDataset(stores, input), changedBy('EnsureDataset', ctx));
      const named = { dataset: dataset.id, version: 0 };
      return toWireResolved(await work.read((stores) => resolveDataset(stores, named)));
    },
    readExamples: async function* (request) {
      const { dataset, version: found } = await work.read((stores) => resolveDataset(stores, request));
      const about = { datasetId: dataset.id, version: found?.version ?? 0 };
      const [afterPosition, limit] = [Number(request.afterPosition), Number(request.limit)];
      if (afterPosition < 0 || limit < 0) throw invalidField('after_position', 'must not be negative');
      const query = { ...about, splits: splitsOf(request.splits), afterPosition, limit };
      let isEmpty = true;
      for await (const page of readExamples((one) => work.read(({ examples }) => examples.read(one)), query)) {
        isEmpty = false;
        yield { ...about, examples: page.map(toInternalExample) };
      }
      if (isEmpty) yield { ...about, examples: [] };
    },
    addExamples: async (requests, ctx) => {
      const { first, all } = await begin(requests, AddExamples.fromPartial({}));
      const options = {
        ...readImport(first),
        source: readSource(first.source),
        columns: {},
        bestFirst: first.bestFirst,
      };
      return toWireResult(await importExamples({ work }, options, () => addedRows(all), ctx));
    },
  };
}

function answerImport(result: ImportResult, ctx: CallContext) {
  const { version } = result;
  if (version !== undefined) {
    const reply = created(`/v1/datasets/${version.datasetId}/versions/${version.version}`);
    for (const [name, value] of Object.entries(reply)) ctx.reply(name, value);
  }
  return toWireResult(result);
}

// The first message of a stream, and all of them; nothing at all is like an empty message.
async function begin<T>(requests: AsyncIterable<T>, empty: T): Promise<{ first: T; all: AsyncIterable<T> }> {
  const iterator = requests[Symbol.asyncIterator]();
  const { value, done } = await iterator.next();
  const first = done === true ? empty : (value as T);
  async function* all(): AsyncGenerator<T, void> {
    try {
      yield first;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return { first, all: all() };
}

async function* dataOf(requests: AsyncIterable<ImportExamplesRequest>): AsyncGenerator<Uint8Array, void> {
  for await (const { data } of requests) yield data;
}

async function* jsonRows(chunks: AsyncIterable<Uint8Array>, reader: RowReader): AsyncGenerator<GivenRow, void> {
  for await (const row of readNdjson(chunks)) {
    yield 'object' in row ? reader.fromJson(row) : { line: row.line, faults: [row.fault] };
  }
}

async function* csvRows(chunks: AsyncIterable<Uint8Array>, reader: RowReader): AsyncGenerator<GivenRow, void> {
  for await (const row of readCsv(chunks)) {
    yield 'cells' in row ? reader.fromCells(row) : { line: row.line, faults: [row.fault] };
  }
}

async function* addedRows(requests: AsyncIterable<AddExamplesRequest>): AsyncGenerator<GivenRow, void> {
  let line = 0;
  for await (const { rows } of requests) for (const row of rows) yield readNewExample(row, ++line);
}

function splitsOf(wire: readonly Parameters<typeof readSplit>[0][]): Split[] {
  return wire.flatMap((one) => {
    const split = readSplit(one);
    if (split === null) throw invalidField('split', 'is not a known value', 'UNKNOWN_VALUE');
    return split ?? [];
  });
}

function refuseFormat(): never {
  throw invalidField('format', 'is not a known value', 'UNKNOWN_VALUE');
}
