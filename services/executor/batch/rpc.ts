import type { CallContext } from '@signet/kit/call-context.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Empty } from '@signet/proto/gen/google/protobuf/empty.ts';
import { Batch as WireBatch } from '@signet/proto/gen/signet/v1/batch.ts';
import type { BatchServiceService } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { answerOnce } from '../execution/answer-once.ts';
import { fromOptions } from '../execution/options-wire.ts';
import { fromStatus, payloadKindOf } from '../execution/wire.ts';
import type { Batch } from './batch.ts';
import { type ItemDeps, listItems } from './batch-items.ts';
import { type ChangeBatchDeps, cancelBatch, deleteBatch, getBatch, pauseBatch, resumeBatch } from './change-batch.ts';
import { createBatch } from './create-batch.ts';
import { downloadResults } from './download-results.ts';
import { listBatches } from './list-batches.ts';
import { type UploadDeps, uploadBatch } from './upload-batch.ts';
import { watchBatch } from './watch-batch.ts';
import { fromSplits, fromUpload, keepsValid, toWireBatch, toWireBatchEvent, toWireItem } from './wire.ts';

/** What the handlers of BatchService need. */
export type BatchDeps = UploadDeps & ChangeBatchDeps & ItemDeps & Parameters<typeof answerOnce>[0];

/** The handlers of BatchService. */
export function batchHandlers(deps: BatchDeps): Handlers<typeof BatchServiceService> {
  const once = (
    { method, requestId, request }: { method: string; requestId: string; request: unknown },
    ctx: CallContext,
    run: () => Promise<Batch>,
  ): Promise<WireBatch> =>
    answerOnce(deps, { method, requestId, request, codec: WireBatch, ctx }, async () => toWireBatch(await run()));
  return {
    async createBatch({ requestId, executionOptions, onError, splits, ...request }, ctx) {
      const kept = { splits: fromSplits(splits), keepValidRows: keepsValid(onError) };
      const input = { ...request, ...kept, options: fromOptions(executionOptions) };
      const call = { method: 'CreateBatch', requestId, request: input };
      return made(await once(call, ctx, () => createBatch(deps, input, ctx)), ctx);
    },
    async uploadBatch(requests, ctx) {
      const { input, requestId } = await fromUpload(requests);
      const { content: _, ...request } = input;
      return made(
        await once({ method: 'UploadBatch', requestId, request }, ctx, () => uploadBatch(deps, input, ctx)),
        ctx,
      );
    },
    async getBatch({ batch }) {
      return toWireBatch(await getBatch(deps, batch));
    },
    async listBatches(request, ctx) {
      const { batches, nextPageToken } = await listBatches(deps, request, ctx);
      return { batches: batches.map(toWireBatch), nextPageToken };
    },
    async pauseBatch({ batch, requestId }, ctx) {
      return once({ method: 'PauseBatch', requestId, request: batch }, ctx, () => pauseBatch(deps, batch));
    },
    async resumeBatch({ batch, requestId }, ctx) {
      return once({ method: 'ResumeBatch', requestId, request: batch }, ctx, () => resumeBatch(deps, batch));
    },
    async cancelBatch({ batch, requestId }, ctx) {
      return once({ method: 'CancelBatch', requestId, request: batch }, ctx, () => cancelBatch(deps, batch, ctx));
    },
    async *watchBatch({ batch }, ctx) {
      for await (const event of watchBatch(deps, batch, ctx)) yield toWireBatchEvent(event);
    },
    async listBatchItems({ status, ...request }, ctx) {
      const { items, nextPageToken } = await listItems(deps, { ...request, status: fromStatus(status) });
      const kind = payloadKindOf(ctx);
      return { items: items.map((item) => toWireItem(item, kind, ctx)), nextPageToken };
    },
    async *downloadBatchResults({ batch, format, status }, ctx) {
      for await (const { contentType, data } of downloadResults(
        deps,
        { batch, format, status: fromStatus(status) },
        ctx,
      )) {
        yield { contentType, data: Buffer.from(data.buffer, data.byteOffset, data.length), extensions: [] };
      }
    },
    async deleteBatch({ batch, requestId }, ctx) {
      const call = { method: 'DeleteBatch', requestId, request: batch, codec: Empty, ctx };
      return answerOnce(deps, call, async () => {
        await deleteBatch(deps, batch);
        return {};
      });
    },
  };
}

function made(batch: WireBatch, ctx: CallContext): WireBatch {
  ctx.reply('signet-http-status', '201');
  ctx.reply('location', `/v1/batches/${batch.id}`);
  return batch;
}
