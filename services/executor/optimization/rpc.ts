import type { Handlers } from '@signet/kit/grpc/server.ts';
import { OptimizationJob as WireJob } from '@signet/proto/gen/signet/v1/optimization.ts';
import {
  type OptimizationServiceService,
  OptimizeProgramRequest,
} from '@signet/proto/gen/signet/v1/optimization_service.ts';
import { type AnswerCodec, answerOnce } from '../execution/answer-once.ts';
import { cancelJob } from './cancel-job.ts';
import { type OptimizeDeps, optimizeProgram } from './optimize-program.ts';
import { getJob, listJobs, listTrials, type ReadJobsDeps } from './read-jobs.ts';
import type { SettleDeps } from './settle-job.ts';
import { watchJob } from './watch-job.ts';
import { fromOptimize, toWireEvent, toWireJob, toWireTrial } from './wire.ts';

/** What the handlers of OptimizationService need. */
export type OptimizationDeps = OptimizeDeps & ReadJobsDeps & SettleDeps & Parameters<typeof answerOnce>[0];

const codec: AnswerCodec<WireJob> = WireJob;

/** The handlers of OptimizationService. */
export function optimizationHandlers(deps: OptimizationDeps): Handlers<typeof OptimizationServiceService> {
  return {
    async optimizeProgram(request, ctx) {
      const { requestId } = request;
      const said = Buffer.from(OptimizeProgramRequest.encode({ ...request, requestId: '' }).finish()).toString(
        'base64',
      );
      const call = { method: 'OptimizeProgram', requestId, request: said, codec, ctx };
      const job = await answerOnce(deps, call, async () =>
        toWireJob(await optimizeProgram(deps, fromOptimize(request), ctx)),
      );
      ctx.reply('signet-http-status', '202');
      ctx.reply('location', `/v1/optimizationJobs/${job.id}`);
      return job;
    },
    async getOptimizationJob({ optimizationJob }) {
      return toWireJob(await getJob(deps, optimizationJob));
    },
    async listOptimizationJobs(request, ctx) {
      const { jobs, nextPageToken } = await listJobs(deps, request, ctx);
      return { optimizationJobs: jobs.map(toWireJob), nextPageToken };
    },
    async listOptimizationTrials({ optimizationJob: job, pageSize, pageToken }) {
      const { trials, nextPageToken } = await listTrials(deps, { job, pageSize, pageToken });
      return { trials: trials.map(toWireTrial), nextPageToken };
    },
    async *watchOptimizationJob({ optimizationJob: job, afterSequence }, ctx) {
      const input = { job, afterSequence: Math.min(Number(afterSequence), Number.MAX_SAFE_INTEGER) };
      for await (const event of watchJob(deps, input, ctx)) yield toWireEvent(event);
    },
    async cancelOptimizationJob({ optimizationJob, requestId }, ctx) {
      const call = { method: 'CancelOptimizationJob', requestId, request: optimizationJob, codec, ctx };
      return answerOnce(deps, call, async () => toWireJob(await cancelJob(deps, optimizationJob, ctx.signal)));
    },
  };
}
