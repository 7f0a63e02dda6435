import type { CallContext } from '@signet/kit/call-context.ts';
import { JsonError, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { DatasetClient, DatasetExample } from '../dataset/datasets.grpc.ts';
import { ChunkBuilder } from './chunk-builder.ts';
import type { DatasetLoading, LoadStore } from './load-store.postgres.ts';
import { type CheckedRow, checkRow, Rejections } from './row-check.ts';

/** What loading a batch out of a dataset needs. */
export type LoadDeps = { readonly loads: LoadStore; readonly datasets: DatasetClient; readonly catalog: Catalog };

/** The surroundings of loading: nobody waits for it. */
export type LoadContext = Pick<CallContext, 'signal' | 'deadlineMs' | 'trace'>;

/** Fills a batch with the examples of its dataset, or ends it FAILED where some do not fit and are not to be left out. */
export async function loadDataset(deps: LoadDeps, loading: DatasetLoading, ctx: LoadContext): Promise<void> {
  const program = await deps.catalog.resolve(loading.programId, loading.version, ctx, true);
  const builder = new ChunkBuilder();
  const rejected = new Rejections();
  const query = {
    dataset: loading.datasetId,
    version: loading.datasetVersion,
    splits: loading.splits,
  };
  for await (const example of deps.datasets.read(query, ctx)) {
    const checked = checkedExample(program, example);
    if ('faults' in checked) {
      rejected.add(checked.faults);
    } else if (rejected.count === 0 || loading.keepValidRows) {
      const chunk = builder.add(checked.json, example.id);
      if (chunk !== undefined && !(await deps.loads.append(loading, chunk))) return;
    }
  }
  if (rejected.count > 0 && !loading.keepValidRows) {
    const [first] = rejected.faults;
    const message = `${rejected.count} examples do not fit; example ${first!.line}: ${first!.field}: ${first!.description}`;
    return deps.loads.fail(loading, message, rejected);
  }
  const last = builder.take();
  if (last !== undefined && !(await deps.loads.append(loading, last))) return;
  await deps.loads.finish(loading, rejected);
}

function checkedExample(program: ServedProgram, { inputsJson, position }: DatasetExample): CheckedRow {
  let inputs: JsonValue;
  try {
    inputs = parseJson(inputsJson);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const { reason, message, column } = error;
    return { faults: [{ line: position, column, field: '', reason, description: message }] };
  }
  return checkRow(program, inputs, position);
}
