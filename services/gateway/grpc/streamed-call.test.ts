import { Client, type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js';
import { AppError } from '@signet/kit/error/app-error.ts';
import { fromServiceError } from '@signet/kit/grpc/status.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import type { BatchExecuteResult } from '@signet/proto/gen/signet/v1/batch.ts';
import { BatchServiceService, UploadBatchRequest } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { BatchExecuteProgramRequest, RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { metadataOf } from '../test-support/grpc-call.ts';
import { type GatewayRig, sampleBatch, sampleBatchResult, startRig } from '../test-support/owners.ts';

let rig: GatewayRig;
let client: Client;
beforeAll(async () => {
  rig = await startRig();
  client = new Client(rig.grpc, credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await rig.close();
});
beforeEach(() => rig.reset());

const { batchExecuteProgram } = RuntimeServiceService;
const { uploadBatch } = BatchServiceService;

function openBatch(options: Parameters<typeof metadataOf>[0] & { deadline?: number } = {}) {
  return client.makeBidiStreamRequest(
    batchExecuteProgram.path,
    batchExecuteProgram.requestSerialize,
    batchExecuteProgram.responseDeserialize,
    metadataOf(options),
    options.deadline === undefined ? {} : { deadline: options.deadline },
  );
}

function item(index: number, filler = ''): BatchExecuteProgramRequest {
  const inputs = { kind: { $case: 'json', value: Buffer.from(JSON.stringify({ index, filler })) } } as const;
  return {
    ...BatchExecuteProgramRequest.decode(Buffer.alloc(0)),
    program: 'qa',
    item: { index: BigInt(index), inputs },
  };
}

async function allOf(stream: ClientDuplexStream<BatchExecuteProgramRequest, BatchExecuteResult>) {
  const results: BatchExecuteResult[] = [];
  for await (const result of stream) results.push(result as BatchExecuteResult);
  return results;
}

const refusal = async (work: Promise<unknown>): Promise<AppError> =>
  work.then(
    () => Promise.reject(new Error('was not refused')),
    (error: ServiceError) => fromServiceError(error, 'gateway'),
  );

function upload(parts: readonly Partial<UploadBatchRequest>[], options: { key?: string | null } = {}) {
  return new Promise((resolve, reject) => {
    const call = client.makeClientStreamRequest(
      uploadBatch.path,
      uploadBatch.requestSerialize,
      uploadBatch.responseDeserialize,
      metadataOf(options),
      (error, answer) => (error === null ? resolve(answer) : reject(error)),
    );
    for (const part of parts) call.write({ ...UploadBatchRequest.decode(Buffer.alloc(0)), ...part });
    call.end();
  });
}

describe('streams of requests over gRPC', () => {
  test('go to the owner one by one, and answers come back before the last request', async () => {
    rig.answer('BatchExecuteProgram', async function* (requests: AsyncIterable<BatchExecuteProgramRequest>) {
      for await (const request of requests) yield sampleBatchResult({ index: request.item!.index! });
    });
    const stream = openBatch();
    const heard: bigint[] = [];
    stream.on('data', (result: BatchExecuteResult) => heard.push(result.index));
    stream.write(item(0));
    await eventually(() => expect(heard).toEqual([0n]));
    stream.write(item(1));
    await eventually(() => expect(heard).toEqual([0n, 1n]));
    const over = new Promise((resolve) => stream.on('end', resolve));
    stream.end();
    await over;
  });

  test('are gathered into one answer where the owner gives one', async () => {
    rig.answer('UploadBatch', async (requests: AsyncIterable<UploadBatchRequest>, ctx) => {
      const parts: Buffer[] = [];
      for await (const { content } of requests) parts.push(content);
      ctx.reply('location', '/v1/batches/b');
      return sampleBatch({ name: Buffer.concat(parts).toString() });
    });
    const answer = await upload([{ program: 'qa', content: Buffer.from('ab') }, { content: Buffer.from('c') }]);
    expect(answer).toMatchObject({ name: 'abc' });
  });

  test('are refused without a key before the owner hears of them', async () => {
    const stream = openBatch({ key: null });
    stream.on('error', () => {});
    expect((await refusal(allOf(stream))).reason).toBe('KEY_MISSING');
    expect((await refusal(upload([{ program: 'qa' }], { key: null }))).reason).toBe('KEY_MISSING');
    expect(rig.seen).toEqual([]);
  });

  test('end with what the owner says, reason and all', async () => {
    rig.answer('BatchExecuteProgram', async function* () {
      yield sampleBatchResult({ index: 0n });
      throw new AppError('PROGRAM_NOT_FOUND', 'There is no program `qa`', { metadata: { resource: 'qa' } });
    });
    const stream = openBatch();
    stream.write(item(0));
    const error = await refusal(allOf(stream));
    expect([error.reason, error.metadata.resource]).toEqual(['PROGRAM_NOT_FOUND', 'qa']);
    rig.answer('UploadBatch', async () => {
      throw new AppError('PROGRAM_NOT_READY', 'not yet');
    });
    expect((await refusal(upload([{ program: 'qa' }]))).reason).toBe('PROGRAM_NOT_READY');
  });

  test('break off at a request of more than 4 MiB, and the owner hears of it', async () => {
    let aborted = false;
    rig.answer('BatchExecuteProgram', async function* (requests: AsyncIterable<BatchExecuteProgramRequest>, ctx) {
      ctx.signal.addEventListener('abort', () => {
        aborted = true;
      });
      for await (const request of requests) yield sampleBatchResult({ index: request.item!.index! });
    });
    const stream = openBatch();
    stream.write(item(0));
    await eventually(() => expect(rig.seen).toHaveLength(1));
    stream.write(item(1, 'x'.repeat(4 * 1024 * 1024)));
    expect((await refusal(allOf(stream))).reason).toBe('PAYLOAD_TOO_LARGE');
    await eventually(() => expect(aborted).toBe(true));
  });

  test('are cancelled at the owner when the caller goes away, also while nobody reads', async () => {
    let aborted = false;
    rig.answer('BatchExecuteProgram', async function* (requests: AsyncIterable<BatchExecuteProgramRequest>, ctx) {
      ctx.signal.addEventListener('abort', () => {
        aborted = true;
      });
      for await (const _ of requests) {
        for (let index = 0n; !ctx.signal.aborted; index++) {
          yield sampleBatchResult({ index, traceId: 'x'.repeat(10_000) });
        }
      }
    });
    const stream = openBatch();
    stream.on('error', () => {});
    stream.write(item(0));
    await eventually(() => expect(rig.seen).toHaveLength(1));
    stream.cancel();
    await eventually(() => expect(aborted).toBe(true));
  });

  test('are held back by an owner that is busy: neither side gathers them', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let taken = 0;
    rig.answer('BatchExecuteProgram', async function* (requests: AsyncIterable<BatchExecuteProgramRequest>) {
      for await (const request of requests) {
        taken++;
        if (taken === 1) await held;
        yield sampleBatchResult({ index: request.item!.index! });
      }
    });
    const stream = openBatch();
    const results = allOf(stream);
    const count = 200;
    let written = 0;
    const writing = (async () => {
      for (; written < count; written++) {
        if (!stream.write(item(written, 'x'.repeat(500_000)))) {
          await new Promise((resolve) => stream.once('drain', resolve));
        }
      }
      stream.end();
    })();
    await eventually(() => expect(taken).toBe(1));
    let before = -1;
    await eventually(() => {
      const now = written;
      const isStill = now === before;
      before = now;
      expect(isStill).toBe(true);
    });
    // 100 MB want to go; what buffers between hold is far less.
    expect(written).toBeLessThan(count * 0.8);
    release();
    await writing;
    expect(await results).toHaveLength(count);
  });

  test('end with DEADLINE_EXCEEDED when their deadline passes', async () => {
    rig.answer('BatchExecuteProgram', async function* (_requests: unknown, ctx) {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      yield sampleBatchResult({ index: 0n });
    });
    const stream = openBatch({ deadline: Date.now() + 300 });
    stream.write(item(0));
    expect((await refusal(allOf(stream))).reason).toBe('DEADLINE_EXCEEDED');
  });
});
