import type { CallContext } from '@signet/kit/call-context.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Empty } from '@signet/proto/gen/google/protobuf/empty.ts';
import { ImportResult } from '@signet/proto/gen/signet/v1/dataset.ts';
import { Execution as WireExecution, Feedback as WireFeedback } from '@signet/proto/gen/signet/v1/execution.ts';
import type { CreateExecutionRequest, ExecutionServiceService } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { type ImportExecutionsDeps, importExecutions } from '../dataset/import-executions.ts';
import { getShadow } from '../shadow/get-shadow.ts';
import { type ListShadowsDeps, listShadows } from '../shadow/list-shadows.ts';
import { toWireShadow, toWireSummary } from '../shadow/wire.ts';
import { addFeedback } from './add-feedback.ts';
import { type AggregateDeps, aggregateExecutions } from './aggregate-executions.ts';
import { toWireAggregate, toWireUsage } from './aggregate-wire.ts';
import { answerOnce } from './answer-once.ts';
import { toWireAuditEntry } from './audit-wire.ts';
import { type CancelDeps, cancelExecution } from './cancel-execution.ts';
import { type CreateDeps, type CreateInput, createExecution } from './create-execution.ts';
import { deleteExecution } from './delete-execution.ts';
import type { Execution } from './execution.ts';
import { getExecution } from './get-execution.ts';
import { getExecutionTree } from './get-execution-tree.ts';
import { listAuditEntries } from './list-audit-entries.ts';
import { listExecutions, recentExecutions } from './list-executions.ts';
import { fromOptions } from './options-wire.ts';
import { getProgramStatistics, getProgramStats } from './program-stats.ts';
import { retryExecution } from './retry-execution.ts';
import { getSignatureUsage, type UsageDeps } from './signature-usage.ts';
import { toWireStatistics, toWireStats } from './stats-wire.ts';
import { toWireTree } from './tree-wire.ts';
import { waitExecution } from './wait-execution.ts';
import { watchExecution } from './watch-execution.ts';
import {
  fromPayload,
  fromStatus,
  type PayloadKind,
  payloadKindOf,
  toWireEvent,
  toWireExecution,
  toWireFeedback,
} from './wire.ts';

/** What the handlers of ExecutionService need. */
export type ExecutionDeps = CreateDeps &
  CancelDeps &
  AggregateDeps &
  UsageDeps &
  ListShadowsDeps &
  ImportExecutionsDeps;

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
      const found = await getExecution(deps, execution);
      const shadow = await getShadow(deps, found);
      return { ...read(found, ctx), shadow: shadow && toWireShadow(shadow) };
    },
    async getExecutionTree({ execution }, ctx) {
      return toWireTree(await getExecutionTree(deps, execution), payloadKindOf(ctx), ctx);
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
        await deleteExecution(deps, execution, ctx);
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
        // Beyond what a number holds there is no sequence either.
        { id, afterSequence: Math.min(Number(afterSequence), Number.MAX_SAFE_INTEGER) },
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
    async importExecutions({ requestId, ...request }, ctx) {
      const { seed, ...named } = request;
      const hashed = { ...named, seed: String(seed) };
      const imported = await once('ImportExecutions', requestId, ImportResult, ctx, hashed, () =>
        importExecutions(deps, { ...request, ratios: request.ratios, minScore: request.minScore }, ctx),
      );
      const { version } = imported;
      if (version !== undefined) {
        ctx.reply('signet-http-status', '201');
        ctx.reply('location', `/v1/datasets/${version.datasetId}/versions/${version.version}`);
      }
      return imported;
    },
    async listExecutionAuditEntries(request) {
      const { entries, nextPageToken } = await listAuditEntries(deps, request);
      return { auditEntries: entries.map(toWireAuditEntry), nextPageToken };
    },
    async listExecutionShadows(request) {
      const { shadows, nextPageToken, summaries } = await listShadows(deps, request);
      return { shadows: shadows.map(toWireShadow), nextPageToken, summaries: summaries.map(toWireSummary) };
    },
    async aggregateExecutions(request, ctx) {
      return toWireAggregate(await aggregateExecutions(deps, request, ctx));
    },
    async getSignatureUsage({ signature }, ctx) {
      return toWireUsage(await getSignatureUsage(deps, signature, ctx));
    },
    async getProgramStats({ program }, ctx) {
      return toWireStats(await getProgramStats(deps, program, ctx));
    },
    async getProgramStatistics(request, ctx) {
      return toWireStatistics(await getProgramStatistics(deps, request, ctx));
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
