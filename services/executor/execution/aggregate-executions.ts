import type { CallContext } from '@signet/kit/call-context.ts';
import { compileFilter } from '@signet/kit/filter/compile-filter.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import type { AggregateStore, ExecutionAggregate } from './aggregate.postgres.ts';
import { executionFields, type ListDeps } from './list-executions.ts';

/** What summing up needs. */
export type AggregateDeps = ListDeps & { readonly aggregates: AggregateStore };

/** Which executions are summed up; empty texts mean all. */
export type AggregateInput = { readonly program: string; readonly module: string; readonly filter: string };

/**
 * Executions in figures, read afresh. Fails with INVALID_REQUEST, FILTER_SYNTAX, PROGRAM_NOT_FOUND and MODULE_NOT_FOUND; deleted
 * programs and modules are found by id.
 */
export async function aggregateExecutions(
  deps: AggregateDeps,
  input: AggregateInput,
  ctx: CallContext,
): Promise<ExecutionAggregate> {
  const binder = createBinder();
  const conditions = ['true'];
  const filter = parseFilter(input.filter);
  if (filter !== undefined) conditions.push(compileFilter(filter, executionFields, binder));
  if (input.program !== '') {
    const { id } = await deps.catalog.resolve(input.program, 0, ctx, true);
    conditions.push(`program_id = ${binder.bind(id)}::uuid`);
  }
  if (input.module !== '') {
    conditions.push(`module_id = ${binder.bind(await deps.modules.idOf(input.module, ctx))}::uuid`);
  }
  return deps.aggregates.aggregate(conditions.join(' and '), binder.values);
}
