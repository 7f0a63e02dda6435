import type { CallContext } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { compileFilter } from '@signet/kit/filter/compile-filter.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isStorableText } from '@signet/signature/json.ts';
import { executionFields, type ListDeps } from '../execution/list-executions.ts';
import type { ExampleImporter, ImportOrder, ImportOutcome } from './example-import.grpc.ts';
import type { ExecutionExample } from './execution-example.ts';
import type { ExampleSource, SourceQuery } from './source.postgres.ts';

/** What importing executions needs. */
export type ImportExecutionsDeps = Pick<ListDeps, 'catalog' | 'modules'> & {
  readonly exampleSource: ExampleSource;
  readonly exampleImporter: ExampleImporter;
};

/** Which executions become examples, and how. */
export type ImportExecutionsInput = ImportOrder & {
  readonly program: string;
  readonly module: string;
  readonly filter: string;
  readonly minScore: number | undefined;
  readonly feedbackLabel: string;
  readonly requireFeedback: boolean;
  readonly limit: number;
};

const pageRows = 500;
const limitDefault = 10_000;
const limitMax = 100_000;

/**
 * Adds executions to a dataset as one import: corrected ones first, then completed ones, each newest first, so that of equal inputs the
 * best is kept. Fails with DATASET_NOT_FOUND, PROGRAM_NOT_FOUND, MODULE_NOT_FOUND, FILTER_SYNTAX and INVALID_REQUEST.
 */
export async function importExecutions(
  deps: ImportExecutionsDeps,
  input: ImportExecutionsInput,
  ctx: CallContext,
): Promise<ImportOutcome> {
  const { minScore, feedbackLabel, requireFeedback } = input;
  if (input.limit < 0) throw invalidField('limit', 'must not be negative', 'NEGATIVE');
  if (minScore !== undefined && !(minScore >= 0 && minScore <= 1))
    throw invalidField('min_score', 'must be from 0 to 1');
  if (!isStorableText(feedbackLabel)) throw invalidField('feedback_label', 'the text cannot be stored', 'TEXT_INVALID');
  const binder = createBinder('numbered', 5);
  const conditions: string[] = [];
  if (input.module !== '') {
    conditions.push(`module_id = ${binder.bind(await deps.modules.idOf(input.module, ctx))}::uuid`);
  }
  const filter = parseFilter(input.filter);
  if (filter !== undefined) conditions.push(compileFilter(filter, executionFields, binder));
  const programId = input.program === '' ? undefined : (await deps.catalog.resolve(input.program, 0, ctx, true)).id;
  const query = {
    ...{ programId, minScore, requireFeedback, label: feedbackLabel },
    condition: conditions.join(' and '),
    values: binder.values,
  };
  const limit = input.limit === 0 ? limitDefault : Math.min(input.limit, limitMax);
  return deps.exampleImporter.add(input, examplesOf(deps, query, limit), ctx);
}

async function* examplesOf(
  deps: ImportExecutionsDeps,
  query: Omit<SourceQuery, 'isCorrected'>,
  limit: number,
): AsyncGenerator<readonly ExecutionExample[], void> {
  let left = limit;
  for (const isCorrected of [true, false]) {
    let beforeId: string | undefined;
    while (left > 0) {
      const page = await deps.exampleSource.read({ ...query, isCorrected }, Math.min(pageRows, left), beforeId);
      if (page.length === 0) break;
      yield page;
      left -= page.length;
      beforeId = page.at(-1)!.executionId;
    }
  }
}
