import { isId } from '@signet/kit/id.ts';
import type { Execution } from './execution.ts';
import { type ExecutionStore, executionNotFound } from './store.postgres.ts';

/** An execution with what is below it. */
export type ExecutionTree = { readonly execution: Execution; readonly children: ExecutionTree[] };

/** The most executions that a tree shows. */
const shownMax = 2_000;

/** Reads an execution, its steps and theirs, in the order in which they were asked for. Fails with EXECUTION_NOT_FOUND. */
export async function getExecutionTree(
  deps: { readonly store: ExecutionStore },
  id: string,
): Promise<ExecutionTree & { readonly isTruncated: boolean }> {
  if (!isId(id)) throw executionNotFound(id);
  const rows = await deps.store.tree(id, shownMax + 1);
  const nodes = new Map<string, ExecutionTree>();
  // Parents come before what is below them.
  for (const execution of rows.slice(0, shownMax)) {
    const node: ExecutionTree = { execution, children: [] };
    nodes.set(execution.id, node);
    if (execution.id !== id) nodes.get(execution.parentId)?.children.push(node);
  }
  return { ...nodes.get(id)!, isTruncated: rows.length > shownMax };
}
