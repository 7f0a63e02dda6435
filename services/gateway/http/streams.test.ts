import { type ClientRequest, type IncomingMessage, request as openRequest } from 'node:http';
import { Readable } from 'node:stream';
import { AppError } from '@signet/kit/error/app-error.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import type { UploadBatchRequest } from '@signet/proto/gen/signet/v1/batch_service.ts';
import type { BatchExecuteProgramRequest } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { carefulListener } from '../grpc/careful-listener.ts';
import { type GatewayRig, rigKeys, sampleBatch, sampleBatchResult, startRig } from '../test-support/owners.ts';
import { readFileBody } from './read-file-body.ts';

let rig: GatewayRig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.close());
beforeEach(() => rig.reset());

const ndjson = { 'content-type': 'application/x-ndjson' };
const runPath = '/v1/programs/qa:batchExecute';

type Line = { index?: string; outputs?: unknown; error?: { reason: string; metadata: Record<string, string> } };

function linesOf(text: string): Line[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

function echo(): void {
  rig.answer('BatchExecuteProgram', async function* (requests: AsyncIterable<BatchExecuteProgramRequest>) {
    let next = 0n;
    for await (const { item } of requests) {
      if (item !== undefined) yield sampleBatchResult({ index: item.index ?? next++, outputs: item.inputs });
    }
  });
}

async function* refusing(error: AppError): AsyncGenerator<never> {
  yield await Promise.reject(error);
}

function uploadTo(path: string, body: string | Readable, headers: Record<string, string> = ndjson) {
  const sent = typeof body === 'string' ? { body } : { body: Readable.toWeb(body) as ReadableStream, duplex: 'half' };
  return rig.fetch(path, { method: 'POST', headers, ...(sent as RequestInit) });
}

/** A request whose body is written piece by piece while its answer is read. */
function open(path: string): { request: ClientRequest; response: Promise<IncomingMessage>; text: () => string } {
  let text = '';
  const request = openRequest(`${rig.http}${path}`, {
    method: 'POST',
    headers: { ...ndjson, authorization: `Bearer ${rigKeys.admin}` },
  });
  request.on('error', () => {});
  const response = new Promise<IncomingMessage>((resolve) => {
    request.on('response', (incoming) => {
      incoming.on('error', () => {});
      incoming.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
      resolve(incoming);
    });
  });
  return { request, response, text: () => text };
}

describe('streams of requests over HTTP', () => {
  test('are one request a line; path and query make the first one', async () => {
    const seen: BatchExecuteProgramRequest[] = [];
    rig.answer('BatchExecuteProgram', async function* (requests: AsyncIterable<BatchExecuteProgramRequest>) {
      for await (const request of requests) seen.push(request);
      yield sampleBatchResult({ index: 5n });
    });
    const body = '{"inputs":{"a":9007199254740993}}\r\n\n  {"index":7,"inputs":{"a":1.50}}';
    const answer = await uploadTo(`${runPath}?concurrency=4&executionOptions.timeoutMs=900&labels.team=x`, body);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
    expect(linesOf(await answer.text()).map(({ index }) => index)).toEqual(['5']);
    expect(seen[0]).toMatchObject({ program: 'qa', concurrency: 4, labels: { team: 'x' }, item: undefined });
    expect(seen[0]?.executionOptions?.timeoutMs).toBe(900n);
    const texts = seen.slice(1).map(({ item }) => String((item!.inputs!.kind as { value: Buffer }).value));
    expect(texts).toEqual(['{"a":9007199254740993}', '{"a":1.50}']);
    expect(seen.map(({ item }) => item?.index)).toEqual([undefined, undefined, 7n]);
  });

  test('are answered line by line while the body is still on its way', async () => {
    echo();
    const { request, response, text } = open(runPath);
    request.write('{"inputs":{"a":1}}\n');
    await response;
    await eventually(() => expect(linesOf(text())).toHaveLength(1));
    request.write('{"inputs":{"a":');
    request.write('2}}\n');
    await eventually(() => expect(linesOf(text())).toHaveLength(2));
    request.end();
    await eventually(async () => expect((await response).complete).toBe(true));
    expect(linesOf(text()).map(({ outputs }) => outputs)).toEqual([{ a: 1 }, { a: 2 }]);
  });

  test.each([
    ['{"inputs":{"a":1}}\n{"inputs":{"a":}}\n', 'INVALID_REQUEST', { line: '2', column: '16' }],
    ['{"inputs":{"a":1}}\n\n{"inputs":7}\n', 'INVALID_REQUEST', { line: '3', field: 'inputs' }],
    ['{"inputs":{"a":1}}\n{"input":{}}\n', 'INVALID_REQUEST', { line: '2', field: 'input' }],
    ['{"inputs":{"a":1}}\n[]\n', 'INVALID_REQUEST', { line: '2' }],
    [`{"inputs":{"a":1}}\n{"inputs":{"a":"${'x'.repeat(4_300_000)}"}}\n`, 'PAYLOAD_TOO_LARGE', { line: '2' }],
  ])(
    'tell at the end which line could not be read, after the answers to those before: %#',
    async (body, reason, metadata) => {
      echo();
      const lines = linesOf(await (await uploadTo(runPath, body)).text());
      expect(lines[0]?.outputs).toEqual({ a: 1 });
      expect(lines[1]?.error).toMatchObject({ reason, metadata });
      expect(lines).toHaveLength(2);
    },
  );

  test('are an ordinary problem where the owner refuses before it answers', async () => {
    rig.answer('BatchExecuteProgram', () => refusing(new AppError('PROGRAM_NOT_FOUND', 'There is no program `qa`')));
    const answer = await uploadTo(runPath, '{"inputs":{}}\n'.repeat(5000));
    expect([answer.status, ((await answer.json()) as { reason: string }).reason]).toEqual([404, 'PROGRAM_NOT_FOUND']);
  });

  test('end with the problem as last line where the owner fails after it began', async () => {
    rig.answer('BatchExecuteProgram', async function* () {
      yield sampleBatchResult({ index: 1n });
      throw new AppError('SHUTTING_DOWN', 'The executor is shutting down');
    });
    const lines = linesOf(await (await uploadTo(runPath, '{"inputs":{}}\n')).text());
    expect([lines[0]?.index, lines[1]?.error?.reason]).toEqual(['1', 'SHUTTING_DOWN']);
  });

  test('take no other media type, and nobody without a key', async () => {
    const json = await uploadTo(runPath, '{"inputs":{}}', { 'content-type': 'application/json' });
    expect([json.status, ((await json.json()) as { detail: string }).detail]).toEqual([
      415,
      'The body must be application/x-ndjson',
    ]);
    const nobody = await rig.fetch(runPath, { method: 'POST', headers: ndjson, body: '{"inputs":{}}', key: null });
    expect(nobody.status).toBe(401);
    const zipped = await uploadTo(runPath, 'x', { ...ndjson, 'content-encoding': 'gzip' });
    expect(zipped.status).toBe(415);
    expect(rig.seen).toEqual([]);
  });

  test('refuse what the query says and the request does not have', async () => {
    const answer = await uploadTo(`${runPath}?concurency=3`, '{"inputs":{}}');
    expect([answer.status, ((await answer.json()) as { detail: string }).detail]).toEqual([
      400,
      expect.stringContaining('did you mean `concurrency`'),
    ]);
    const item = await uploadTo(`${runPath}?item.index=3`, '{"inputs":{}}');
    expect(item.status).toBe(400);
  });

  test('are cancelled at the owner when the caller goes away', async () => {
    let aborted = false;
    rig.answer('BatchExecuteProgram', async function* (requests: AsyncIterable<BatchExecuteProgramRequest>, ctx) {
      ctx.signal.addEventListener('abort', () => {
        aborted = true;
      });
      for await (const _ of requests) yield sampleBatchResult();
    });
    const { request, response } = open(runPath);
    request.write('{"inputs":{"a":1}}\n');
    await response;
    request.destroy();
    await eventually(() => expect(aborted).toBe(true));
  });

  test('are never taken for the whole when the caller goes away in the middle', async () => {
    const endings: string[] = [];
    rig.answer('UploadBatch', async (requests: AsyncIterable<UploadBatchRequest>) => {
      try {
        for await (const _ of requests);
        endings.push('whole');
      } catch (error) {
        endings.push((error as AppError).reason);
      }
      return sampleBatch();
    });
    const count = 20;
    for (let turn = 1; turn <= count; turn++) {
      const { request } = open('/v1/batches:upload?program=qa');
      request.write('x'.repeat(turn * 10_000));
      await eventually(() => expect(rig.seen).toHaveLength(turn));
      request.destroy();
    }
    await eventually(() => expect(endings).toEqual(Array(count).fill('CANCELLED')));
  });

  test('end with DEADLINE_EXCEEDED when X-Timeout-Ms has passed', async () => {
    rig.answer('BatchExecuteProgram', async function* (_requests: unknown, ctx) {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      yield sampleBatchResult();
    });
    const answer = await uploadTo(runPath, '{"inputs":{}}', { ...ndjson, 'x-timeout-ms': '200' });
    expect([answer.status, ((await answer.json()) as { reason: string }).reason]).toEqual([504, 'DEADLINE_EXCEEDED']);
  });
});

describe('files over HTTP', () => {
  function keep(answer: (bytes: Buffer, first: UploadBatchRequest) => unknown): void {
    rig.answer('UploadBatch', async (requests: AsyncIterable<UploadBatchRequest>, ctx) => {
      const parts: UploadBatchRequest[] = [];
      for await (const request of requests) parts.push(request);
      ctx.reply('signet-http-status', '201');
      ctx.reply('location', '/v1/batches/b1');
      return answer(Buffer.concat(parts.map(({ content }) => content)), parts[0]!);
    });
  }

  test('go up as raw pieces, told of by path, query and Content-Type', async () => {
    keep((bytes, first) => sampleBatch({ name: `${first.program} ${first.contentType} ${bytes}`, itemCount: 2n }));
    const answer = await uploadTo('/v1/batches:upload?program=qa', 'a,b\n1,"2"\n', {
      'content-type': 'Text/CSV; header=1',
    });
    expect([answer.status, answer.headers.get('location')]).toEqual([201, '/v1/batches/b1']);
    expect(await answer.json()).toMatchObject({ name: 'qa text/csv a,b\n1,"2"\n', itemCount: '2' });
  });

  test('may be far larger than a message', async () => {
    let sizeMax = 0;
    let sizeBytes = 0;
    rig.answer('UploadBatch', async (requests: AsyncIterable<UploadBatchRequest>) => {
      for await (const { content } of requests) {
        sizeBytes += content.length;
        sizeMax = Math.max(sizeMax, content.length);
      }
      return sampleBatch();
    });
    const megabyte = Buffer.alloc(1024 * 1024, 'x');
    const answer = await uploadTo('/v1/batches:upload?program=qa', Readable.from(Array(40).fill(megabyte)));
    expect([answer.status, sizeBytes]).toEqual([200, 40 * 1024 * 1024]);
    expect(sizeMax).toBeLessThanOrEqual(65_536);
  });

  test('are refused with the owner’s own problem, also while they are on their way', async () => {
    rig.answer('UploadBatch', async () => {
      throw new AppError('INPUT_INVALID', '3 rows do not fit', { metadata: { rejected: '3' } });
    });
    const { request, response, text } = open('/v1/batches:upload?program=qa');
    request.write('x'.repeat(100_000));
    const answer = await response;
    await eventually(() => expect(answer.complete).toBe(true));
    expect([answer.statusCode, JSON.parse(text())]).toMatchObject([400, { reason: 'INPUT_INVALID' }]);
    request.destroy();
  });

  test('come down with the type that the first piece names', async () => {
    rig.answer('DownloadBatchResults', async function* () {
      yield { contentType: 'text/csv; charset=utf-8', data: Buffer.from('a,b\n'), extensions: [] };
      yield { contentType: '', data: Buffer.from('1,2\n'), extensions: [] };
    });
    const answer = await rig.fetch('/v1/batches/b1/results?format=csv');
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/csv; charset=utf-8']);
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await answer.text()).toBe('a,b\n1,2\n');
    expect(rig.seen[0]?.request).toMatchObject({ batch: 'b1', format: 'csv' });
  });

  test('are a problem before the first piece, and broken off after it', async () => {
    rig.answer('DownloadBatchResults', () => refusing(new AppError('BATCH_NOT_FOUND', 'There is no batch `b1`')));
    expect((await rig.fetch('/v1/batches/b1/results')).status).toBe(404);
    rig.answer('DownloadBatchResults', async function* () {
      yield { contentType: 'text/csv', data: Buffer.from('a\n'), extensions: [] };
      await new Promise((resolve) => setImmediate(resolve));
      throw new AppError('DATABASE_UNAVAILABLE', 'The database does not answer');
    });
    const broken = await rig.fetch('/v1/batches/b1/results').catch((error: unknown) => error);
    const text = broken instanceof Response ? broken.text() : Promise.reject(broken);
    await expect(text).rejects.toThrow();
  });

  test('an answer that cannot be read ends its call, not the process', async () => {
    expect(() => readFileBody(Buffer.from([0x12, 0xff]))).toThrow();
    const told: string[] = [];
    const careful = carefulListener(
      {
        headers() {},
        message: () => {
          throw new RangeError('cannot be read');
        },
        end: (failure) => void told.push(failure?.error.reason ?? 'ended'),
      },
      () => told.push('cancelled'),
    );
    careful.message(Buffer.alloc(0));
    careful.message(Buffer.alloc(0));
    careful.end(undefined);
    expect(told).toEqual(['cancelled', 'INTERNAL']);
  });
});
