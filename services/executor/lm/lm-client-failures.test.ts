import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { apiKey, chatText, context, failure, useLmClient } from '../test-support/lm-client.ts';

const { lm, client, request } = await useLmClient();

describe('a failing endpoint', () => {
  it('is asked again after the time that it names', async () => {
    lm.enqueue({ kind: 'status', status: 429, retryAfter: '1' });
    const start = performance.now();
    await client.complete(request(), context());
    expect(performance.now() - start).toBeGreaterThan(900);
    expect(lm.calls).toBe(2);
  });

  it('is reported as rate limited, with its time, when that is past the deadline', async () => {
    lm.enqueue({ kind: 'status', status: 429, retryAfter: '60', message: `slow down, ${apiKey}` });
    const error = await failure(client.complete(request(), context()));
    expect(error).toMatchObject({ reason: 'LM_RATE_LIMITED', retryAfterMs: 60_000, retryable: true });
    expect(error.message).toContain('slow down');
    expect(JSON.stringify([error.message, error.metadata])).not.toContain(apiKey);
  });

  it('is given up after two repetitions, or as many as were asked for', async () => {
    const broken = { kind: 'status', status: 500 } as const;
    lm.enqueue(broken, broken, broken);
    expect(await failure(client.complete(request(), context()))).toMatchObject({
      reason: 'LM_UNAVAILABLE',
      retryable: true,
    });
    expect(lm.calls).toBe(3);
    lm.enqueue(broken);
    await failure(client.complete(request({ maxRetries: 0 }), context()));
    expect(lm.calls).toBe(4);
  });

  it('is asked again when it hangs up', async () => {
    lm.enqueue({ kind: 'hangup' }, { kind: 'hangup' });
    expect((await client.complete(request(), context())).text).toBe(chatText);
  });

  it('is not asked again when it refuses, and a refused credential stays unsaid', async () => {
    lm.enqueue({ kind: 'status', status: 400, message: 'maximum context length is 4096' });
    const refused = await failure(client.complete(request(), context()));
    expect([refused.reason, refused.retryable, refused.metadata.status]).toEqual(['LM_ERROR', false, '400']);
    expect(refused.message).toContain('maximum context length');
    lm.enqueue({ kind: 'status', status: 401, message: 'Incorrect API key provided: sk-very-****6789' });
    const unauthorized = await failure(client.complete(request(), context()));
    expect(unauthorized.message).toBe("The language model's endpoint refused the credential");
    expect(lm.calls).toBe(2);
  });

  it('follows no redirect', async () => {
    lm.enqueue({ kind: 'status', status: 302 });
    expect((await failure(client.complete(request(), context()))).message).toContain('redirect');
  });

  it('is unavailable when nobody listens', async () => {
    const error = await failure(client.complete(request({}, { apiBase: await closedPort() }), context()));
    expect(error.reason).toBe('LM_UNAVAILABLE');
    expect(error.message).toMatch(/127\.0\.0\.1:\d+ could not be reached \(ECONNREFUSED\)/);
  });

  it('is not configured without an address or with one of another kind', async () => {
    for (const apiBase of ['', 'ftp://x', 'no url']) {
      const error = await failure(client.complete(request({}, { apiBase, model: 'gw/x' }), context()));
      expect(error.reason).toBe('LM_NOT_CONFIGURED');
    }
    const bad = await failure(client.complete(request({}, { apiKey: 'with\nnewline' }), context()));
    expect(bad.reason).toBe('LM_NOT_CONFIGURED');
    expect(bad.message).not.toContain('newline');
  });
});

describe('a hostile reply', () => {
  const stream = 'text/event-stream';
  const garbage: [string, string | undefined, (string | Buffer)[]][] = [
    ['a page', 'text/html', ['<html>']],
    ['nothing', undefined, ['']],
    ['half an object', undefined, ['{"choices":[']],
    ['no choice', undefined, ['{"choices":[]}']],
    ['null', undefined, ['null']],
    ['bytes that are not UTF-8', undefined, [Buffer.from('{"choices":[{"message":{"content":"\xff"}}]}', 'latin1')]],
    ['a stream of garbage', stream, ['data: {nonsense\n\n']],
    ['a stream that is not UTF-8', stream, [Buffer.from([0x64, 0xff, 0xff, 0xff])]],
    ['nine megabytes', undefined, [Buffer.alloc(9 * 1024 * 1024, 'x')]],
    ['a page in place of JSON', 'text/html; charset=utf-8', ['{"choices":[{"message":{"content":"x"}}]}']],
    ['a stream of control characters', stream, ['data: \u0000\u0001\u001b[2J\n\n']],
    ['an event without end', stream, [Buffer.from('data: '), Buffer.alloc(9 * 1024 * 1024, 'x')]],
  ];
  it.each(garbage)('of %s is unreadable, and is not asked for again', async (_name, contentType, writes) => {
    lm.enqueue({ kind: 'raw', writes, ...(contentType === undefined ? {} : { contentType }) });
    const error = await failure(client.complete(request(), context({ onText: () => {} })));
    expect([error.reason, lm.calls]).toEqual(['LM_REPLY_UNREADABLE', 1]);
  });

  it('of three megabytes is taken whole, and half a surrogate pair is replaced', async () => {
    const text = `${'é'.repeat(1_500_000)}\ud800\u0001`;
    lm.enqueue({ kind: 'text', text });
    expect((await client.complete(request(), context())).text).toBe(`${'é'.repeat(1_500_000)}\ufffd\u0001`);
  });

  it('of an error in a stream is an error of the model', async () => {
    lm.enqueue({
      kind: 'raw',
      contentType: stream,
      writes: ['data: {"error":{"message":"no tokens left","code":400}}\n\n'],
    });
    const error = await failure(client.complete(request(), context({ onText: () => {} })));
    expect([error.reason, error.message.includes('no tokens left')]).toEqual(['LM_ERROR', true]);
  });

  it('of an error after text was shown is not asked for again', async () => {
    const text = 'data: {"choices":[{"delta":{"content":"[[ ## answer ## ]]\\nAda"}}]}\n\n';
    lm.enqueue({
      kind: 'raw',
      contentType: stream,
      writes: [text, 'data: {"error":{"message":"overloaded","code":529}}\n\n'],
    });
    const error = await failure(client.complete(request(), context({ onText: () => {} })));
    expect([error.reason, lm.calls]).toEqual(['LM_REPLY_UNREADABLE', 1]);
  });

  it('that is packed is never unpacked', async () => {
    const server = createHttpServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      response.end(gzipSync(Buffer.alloc(32 * 1024 * 1024)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const apiBase = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    const error = await failure(client.complete(request({}, { apiBase }), context()));
    expect([error.reason, error.message.includes('packed')]).toEqual(['LM_REPLY_UNREADABLE', true]);
    await new Promise((resolve) => server.close(resolve));
  });

  it('that drips is ended by the time that an attempt may take', async () => {
    lm.enqueue({ kind: 'raw', writes: Array.from({ length: 200 }, () => ' '), gapMs: 20 });
    const startMs = performance.now();
    const error = await failure(client.complete(request({ maxRetries: 0 }, { timeoutMs: 200 }), context()));
    expect([error.reason, performance.now() - startMs < 2_000]).toEqual(['LM_UNAVAILABLE', true]);
    await expect.poll(() => lm.requests[0]?.closedByClient).toBe(true);
  });

  it('that never ends is ended by the deadline, and its socket closed', async () => {
    lm.enqueue({
      kind: 'raw',
      contentType: stream,
      writes: Array.from({ length: 500 }, () => ': wait\n\n'),
      gapMs: 20,
    });
    const error = await failure(
      client.complete(request(), context({ deadlineMs: Date.now() + 200, onText: () => {} })),
    );
    expect(error.reason).toBe('DEADLINE_EXCEEDED');
    await expect.poll(() => lm.requests[0]?.closedByClient).toBe(true);
  });
});

async function closedPort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}/v1`;
}
