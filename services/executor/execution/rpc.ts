import type { CallContext } from '@signet/kit/call-context.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Empty } from '@signet/proto/gen/google/protobuf/empty.ts';
import { Execution as WireExecution, Feedback as WireFeedback } from '@signet/proto/gen/signet/v1/execution.ts';
import type { CreateExecutionRequest, ExecutionServiceService } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { addFeedback } from './add-feedback.ts';
import { answerOnce } from './answer-once.ts';
import { type CancelDeps, cancelExecution } from './cancel-execution.ts';
import { type CreateDeps, type CreateInput, createExecution } from './create-execution.ts';
import { deleteExecution } from './delete-execution.ts';
import type { Execution } from './execution.ts';
import { getExecution } from './get-execution.ts';
import { type ListDeps, listExecutions, recentExecutions } from './list-executions.ts';
import { getProgramStatistics, getProgramStats } from './program-stats.ts';
import { retryExecution } from './retry-execution.ts';
import { waitExecution } from './wait-execution.ts';
import { watchExecution } from './watch-execution.ts';
import {
  fromOptions,
  fromPayload,
  fromStatus,
  type PayloadKind,
  payloadKindOf,
  toWireEvent,
  toWireExecution,
  toWireFeedback,
  toWireStatistics,
  toWireStats,
} from './wire.ts';

/** What the handlers of ExecutionService need. */
export type ExecutionDeps = CreateDeps & CancelDeps & ListDeps;

/** The handlers of ExecutionService. */
export function executionHandlers(deps: ExecutionDeps): Handlers<typeof ExecutionServiceService> {
  const read = (execution: Execution, ctx: CallContext) => toWireExecution(execution, payloadKindOf(ctx), ctx);
  const once = <T>(
    method: string,
    requestId: string,
    codec: Codec<T>,
    ctx: CallContext,
    request: unknown,
    run: () => Promise<T>,
  ) => answerOnce(deps, { method, requestId, request, codec, ctx }, run);
  return {
    async createExecution(request, ctx) {
      const { input, kind } = fromCreate(request);
      const execution = await createExecution(deps, input, ctx);
      return accepted(execution, kind, ctx);
    },
    async getExecution({ execution }, ctx) {
      return read(await getExecution(deps, execution), ctx);
    },
    async listExecutions(request, ctx) {
      const { executions, nextPageToken } = await listExecutions(
        deps,
        { ...request, status: fromStatus(request.status) },
        ctx,
      );
      return { executions: executions.map((execution) => read(execution, ctx)), nextPageToken };
    },
    async deleteExecution({ execution, requestId }, ctx) {
      return once('DeleteExecution', requestId, Empty, ctx, execution, async () => {
        await deleteExecution(deps, execution);
        return {};
      });
    },
    async recentExecutions({ limit }, ctx) {
      const executions = await recentExecutions(deps, limit);
      return { executions: executions.map((execution) => read(execution, ctx)), nextPageToken: '' };
    },
    async waitExecution({ execution, timeoutMs }, ctx) {
      return read(await waitExecution(deps, execution, Number(timeoutMs), ctx), ctx);
    },
    async *watchExecution({ execution: id, afterSequence }, ctx) {
      const kind = payloadKindOf(ctx);
      for await (const { execution, event } of watchExecution(
        deps,
        { id, afterSequence: Number(afterSequence) },
        ctx,
      )) {
        yield toWireEvent(event, execution, kind);
      }
    },
    async cancelExecution({ execution, requestId }, ctx) {
      return once('CancelExecution', requestId, WireExecution, ctx, execution, async () =>
        read(await cancelExecution(deps, execution, ctx), ctx),
      );
    },
    async retryExecution({ execution, executionOptions, requestId }, ctx) {
      const input = { id: execution, options: fromOptions(executionOptions), requestId };
      return accepted(await retryExecution(deps, input, ctx), payloadKindOf(ctx), ctx);
    },
    async addFeedback(request, ctx) {
      const corrected = request.correctedOutputs && fromPayload(request.correctedOutputs, 'corrected_outputs');
      const input = {
        executionId: request.execution,
        score: request.score,
        label: request.label,
        correctedOutputs: corrected?.given,
        comment: request.comment,
      };
      return once('AddFeedback', request.requestId, WireFeedback, ctx, input, async () =>
        toWireFeedback(await addFeedback(deps, input, ctx), corrected?.kind ?? 'struct'),
      );
    },
    async getProgramStats({ program }, ctx) {
      return toWireStats(await getProgramStats(deps, program, ctx));
    },
    async getProgramStatistics({ program }, ctx) {
      return toWireStatistics(await getProgramStatistics(deps, program, ctx));
    },
  };
}

type Codec<T> = Parameters<typeof answerOnce<T>>[1]['codec'];

/** What a request for a detached execution asks for, and in which form it came. */
export function fromCreate(request: CreateExecutionRequest): { input: CreateInput; kind: PayloadKind } {
  const { given, kind } = fromPayload(request.inputs, 'inputs');
  const { program, labels, metadata, requestId } = request;
  const options = fromOptions(request.executionOptions);
  return { input: { program, inputs: given, options, labels, metadata, requestId }, kind };
}

/** Answers an execution that was accepted but not waited for: 202, and where to look. */
export function accepted(execution: Execution, kind: PayloadKind, ctx: CallContext): WireExecution {
  ctx.reply('signet-http-status', '202');
  ctx.reply('location', `/v1/executions/${execution.id}`);
  return toWireExecution(execution, kind, ctx);
}
