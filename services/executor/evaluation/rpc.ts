import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Evaluation as WireEvaluation } from '@signet/proto/gen/signet/v1/evaluation.ts';
import type { EvaluationServiceService } from '@signet/proto/gen/signet/v1/evaluation_service.ts';
import { type AnswerCodec, answerOnce } from '../execution/answer-once.ts';
import { payloadKindOf } from '../execution/wire.ts';
import { getEvaluation, watchEvaluation } from './await-evaluation.ts';
import { type CancelEvaluationDeps, cancelEvaluation } from './cancel-evaluation.ts';
import { compareEvaluations } from './compare-evaluations.ts';
import type { EvaluationRunner } from './evaluation-runner.ts';
import { listEvaluations } from './list-evaluations.ts';
import { listResults } from './list-results.ts';
import { type StartDeps, startEvaluation } from './start-evaluation.ts';
import { fromEvaluate, toWireComparison, toWireEvaluation, toWireResult } from './wire.ts';

/** What the handlers of EvaluationService need. */
export type EvaluationDeps = StartDeps &
  CancelEvaluationDeps &
  Parameters<typeof answerOnce>[0] & { readonly evaluationRunner: EvaluationRunner };

const codec: AnswerCodec<WireEvaluation> = WireEvaluation;

/** The handlers of EvaluationService. */
export function evaluationHandlers(deps: EvaluationDeps): Handlers<typeof EvaluationServiceService> {
  return {
    async evaluateProgram(request, ctx) {
      const input = fromEvaluate(request);
      const call = { method: 'EvaluateProgram', requestId: request.requestId, request: input, codec, ctx };
      const started = await answerOnce(deps, call, async () =>
        toWireEvaluation(await startEvaluation(deps, input, ctx), ctx),
      );
      ctx.reply('signet-http-status', '202');
      ctx.reply('location', `/v1/evaluations/${started.id}`);
      return started;
    },
    async getEvaluation({ evaluation }, ctx) {
      return toWireEvaluation(await getEvaluation(deps, evaluation), ctx);
    },
    async listEvaluations(request, ctx) {
      const { evaluations, nextPageToken } = await listEvaluations(deps, request, ctx);
      return { evaluations: evaluations.map((evaluation) => toWireEvaluation(evaluation, ctx)), nextPageToken };
    },
    async *watchEvaluation({ evaluation: id }, ctx) {
      for await (const evaluation of watchEvaluation(deps, id, ctx.signal)) yield toWireEvaluation(evaluation, ctx);
    },
    async cancelEvaluation({ evaluation, requestId }, ctx) {
      const call = { method: 'CancelEvaluation', requestId, request: evaluation, codec, ctx };
      return answerOnce(deps, call, async () =>
        toWireEvaluation(await cancelEvaluation(deps, evaluation, ctx.signal), ctx),
      );
    },
    async listEvaluationResults(request, ctx) {
      const { results, nextPageToken } = await listResults(deps, request);
      const kind = payloadKindOf(ctx);
      return { results: results.map((result) => toWireResult(result, kind)), nextPageToken };
    },
    async compareEvaluations({ a, b, changeLimit }, ctx) {
      return toWireComparison(await compareEvaluations(deps, { a, b, changeLimit }), ctx);
    },
  };
}
