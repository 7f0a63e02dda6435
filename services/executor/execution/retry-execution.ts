import type { CallContext } from '@signet/kit/call-context.ts';
import { type CreateDeps, createExecution } from './create-execution.ts';
import { stillRuns } from './delete-execution.ts';
import { type Execution, isEnd, type RunOptions } from './execution.ts';
import { getExecution } from './get-execution.ts';

/**
 * Runs the inputs of an ended execution again, without waiting, as a new execution that names it. What `options` leave out is as it was,
 * but for the version: left out it is the serving one. Fails with EXECUTION_NOT_FOUND, STATE_FORBIDS while it runs, and as createExecution.
 */
export async function retryExecution(
  deps: CreateDeps,
  input: { readonly id: string; readonly options: RunOptions; readonly requestId: string },
  ctx: CallContext,
): Promise<Execution> {
  const before = await getExecution(deps, input.id);
  if (!isEnd(before.status)) throw stillRuns(input.id, 'retry');
  const { version: _, undoable: __, ...kept } = before.options;
  return createExecution(
    deps,
    {
      program: before.programId,
      inputs: { text: before.inputsJson },
      options: { ...kept, ...input.options },
      labels: before.labels,
      metadata: callersPart(before.metadataJson),
      requestId: input.requestId,
      retriedFrom: before.id,
    },
    ctx,
    `RetryExecution ${before.id}`,
  );
}

function callersPart(metadataJson: string): unknown {
  const { adapter_type: _, options: __, ...rest } = JSON.parse(metadataJson) as Record<string, unknown>;
  return Object.keys(rest).length === 0 ? undefined : rest;
}
