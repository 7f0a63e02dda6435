import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { isStorableText, JsonError, type JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type GivenInputs, readGiven } from '../runtime/call-input.ts';
import { stillRuns } from './delete-execution.ts';
import { type Execution, isEnd } from './execution.ts';
import { getExecution } from './get-execution.ts';
import type { ExecutionStore, FeedbackRow } from './store.postgres.ts';

/** What keeping feedback needs. */
export type FeedbackDeps = { readonly store: ExecutionStore; readonly catalog: Catalog };

/** What somebody thinks of an execution. */
export type FeedbackInput = {
  readonly executionId: string;
  readonly score: number | undefined;
  readonly label: string;
  readonly correctedOutputs: GivenInputs | undefined;
  readonly comment: string;
};

/** Feedback as it was kept. */
export type Feedback = FeedbackRow & { readonly createTime: Date };

/** Keeps what somebody thinks of an ended execution. Fails with EXECUTION_NOT_FOUND, STATE_FORBIDS while it runs, INVALID_REQUEST. */
export async function addFeedback(deps: FeedbackDeps, input: FeedbackInput, ctx: CallContext): Promise<Feedback> {
  checkFeedback(input);
  const execution = await getExecution(deps, input.executionId);
  if (!isEnd(execution.status)) throw stillRuns(input.executionId, 'feedback');
  const row: FeedbackRow = {
    id: newId(),
    executionId: execution.id,
    score: input.score,
    label: input.label,
    correctedOutputsJson:
      input.correctedOutputs && (await checkCorrected(deps, execution, input.correctedOutputs, ctx)),
    comment: input.comment,
    keyId: ctx.principal?.keyId ?? '',
  };
  return { ...row, createTime: await deps.store.addFeedback(row) };
}

function checkFeedback({ score, label, comment, correctedOutputs }: FeedbackInput): void {
  if (score === undefined && label === '' && comment === '' && correctedOutputs === undefined) {
    throw invalidField('score', 'at least one of score, label, corrected_outputs and comment is required', 'REQUIRED');
  }
  if (score !== undefined && !(score >= 0 && score <= 1)) throw invalidField('score', 'must be from 0 to 1');
  if (label.length > 100) throw invalidField('label', 'has at most 100 characters');
  if (comment.length > 10_000) throw invalidField('comment', 'has at most 10,000 characters');
  if (!isStorableText(label)) throw invalidField('label', 'the text cannot be stored', 'TEXT_INVALID');
  if (!isStorableText(comment)) throw invalidField('comment', 'the text cannot be stored', 'TEXT_INVALID');
}

async function checkCorrected(
  deps: FeedbackDeps,
  execution: Execution,
  given: GivenInputs,
  ctx: CallContext,
): Promise<string> {
  const program = await deps.catalog.resolve(execution.programId, execution.version, ctx, true);
  let value: JsonValue;
  try {
    value = readGiven(given);
  } catch (error) {
    if (error instanceof JsonError) throw invalidField('corrected_outputs', error.message, error.reason);
    throw error;
  }
  const result = program.checkOutputs(value);
  if (result.ok) return writeJson(result.values);
  const fieldViolations = result.violations.map((violation) => ({
    ...violation,
    field: violation.field.replace(/^outputs/, 'corrected_outputs'),
  }));
  const [first] = fieldViolations;
  throw new AppError('INVALID_REQUEST', `${first!.field}: ${first!.description}`, {
    fieldViolations,
    metadata: { field: first!.field },
  });
}
