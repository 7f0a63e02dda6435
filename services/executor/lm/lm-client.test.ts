import { createServer } from 'node:net';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { noTelemetry } from '@signet/kit/telemetry/telemetry-config.ts';
import { type OutputField, Type, TypeKind } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ScriptedLm, startScriptedLm } from '../../../test/support/scripted-lm.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import type { LmContext, LmRequest } from './language-model.ts';
import { createLmClient, type LmClient } from './lm-client.ts';

const apiKey = 'sk-very-secret-key-0123456789';
const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const answer: OutputField = { name: 'answer', text: true, type: Type.create({ kind: TypeKind.TYPE_KIND_STR }) };
const kind: OutputField = {
  name: 'kind',
  text: false,
  type: Type.create({
    kind: TypeKind.TYPE_KIND_LITERAL,
    valuesJson: [Buffer.from('"a\\"b"'), Buffer.from('3'), Buffer.from('true')],
  }),
};
const chatText = '[[ ## answer ## ]]\nAda Lovelace\n\n[[ ## completed ## ]]';

let lm: ScriptedLm;
let client: LmClient;
beforeAll(async () => {
  lm = await startScriptedLm({ behaviour: { kind: 'text', text: chatText } });
  client = createLmClient({ tracer: createTelemetry('test', noTelemetry).tracer });
});
afterEach(() => lm.reset());
afterAll(async () => {
  await client.close();
  await lm.close();
});

function request(more: Partial<LmRequest> = {}, endpoint: Partial<LmEndpoint> = {}): LmRequest {
  return {
    endpoint: { model: 'openai/gpt-x', apiBase: lm.url, apiKey, constrained: 'none', ...endpoint },
    messages: [{ role: 'user', content: 'who?' }],
    options: { temperature: 0.5 },
    outputFields: [answer],
    promptAdapter: 'chat',
    ...more,
  };
}

function context(more: Partial<LmContext> = {}): LmContext {
  return { deadlineMs: Date.now() + 10_000, traceparent, ...more };
}

async function failure(work: Promise<unknown>): Promise<AppError> {
  return work.then(
    () => expect.fail('it did not fail'),
    (error: AppError) => error,
  );
}

describe('a completion', () => {
  it('asks in the form of OpenAI and gives back text, usage and the reason to stop', async () => {
    const completion = await client.complete(request(), context());
    expect(completion).toMatchObject({ text: chatText, streamed: false, finishReason: 'stop' });
    expect(completion.promptTokens).toBeGreaterThan(0);
    const [seen] = lm.requests;
    expect(seen?.path).toBe('/v1/chat/completions');
    expect(seen?.headers.authorization).toBe(`Bearer ${apiKey}`);
    expect(seen?.headers.traceparent).toContain('a'.repeat(32));
    expect(seen?.body).toEqual({ model: 'gpt-x', messages: [{ role: 'user', content: 'who?' }], temperature: 0.5 });
  });

  it('lets no option reach past what belongs to the call', async () => {
    await client.complete(
      request({ options: { model: 'other', stream: true, api_key: 'x', cache: true, seed: 1, stop: null } }),
      context(),
    );
    expect(Object.keys(lm.requests[0]!.body).sort()).toEqual(['messages', 'model', 'seed']);
  });

  it('passes an empty reply on as empty text', async () => {
    lm.enqueue({ kind: 'text', text: '' }, { kind: 'raw', writes: ['{"choices":[{"message":{"content":null}}]}'] });
    expect((await client.complete(request(), context())).text).toBe('');
    expect((await client.complete(request(), context())).text).toBe('');
  });

  it('keeps a connection for the next call', async () => {
    await client.complete(request(), context());
    await client.complete(request(), context());
    const ports = new Set(lm.requests.map((seen) => seen.headers.connection));
    expect(ports).toEqual(new Set(['keep-alive']));
  });
});

describe('a stream', () => {
  it('shows the text of fields as it comes and gives the whole text in the end', async () => {
    const shown: string[] = [];
    lm.enqueue({ kind: 'text', text: chatText, gapMs: 2 });
    const completion = await client.complete(
      request(),
      context({ onText: ({ field, text }) => shown.push(`${field}:${text}`) }),
    );
    expect(completion).toMatchObject({ text: chatText, streamed: true, finishReason: 'stop' });
    expect(completion.completionTokens).toBeGreaterThan(0);
    expect(shown.length).toBeGreaterThan(1);
    expect(shown.map((piece) => piece.slice('answer:'.length)).join('')).toBe('Ada Lovelace');
    expect(lm.requests[0]?.body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
  });

  it('takes a whole answer from an endpoint that cannot stream', async () => {
    const shown: string[] = [];
    lm.enqueue({ kind: 'raw', writes: [JSON.stringify({ choices: [{ message: { content: chatText } }] })] });
    const completion = await client.complete(request(), context({ onText: ({ text }) => shown.push(text) }));
    expect([completion.streamed, shown]).toEqual([true, ['Ada Lovelace']]);
  });

  it('is asked for again when it breaks off before text was shown', async () => {
    lm.enqueue({ kind: 'chunks', chunks: ['[[ ## ', 'answer'], breakAfter: 1 });
    expect((await client.complete(request(), context({ onText: () => {} }))).text).toBe(chatText);
    expect(lm.calls).toBe(2);
  });

  it('fails for good when it breaks off after text was shown', async () => {
    lm.enqueue({ kind: 'chunks', chunks: ['[[ ## answer ## ]]\nAda', ' Love', 'lace'], breakAfter: 2 });
    const error = await failure(client.complete(request(), context({ onText: () => {} })));
    expect([error.reason, lm.calls]).toEqual(['LM_REPLY_UNREADABLE', 1]);
  });

  it('counts as broken off when it ends without a reason to stop', async () => {
    const half = 'data: {"choices":[{"delta":{"content":"x"}}]}\n\n';
    const raw = { kind: 'raw' as const, contentType: 'text/event-stream', writes: [half] };
    lm.enqueue(raw, raw);
    const error = await failure(client.complete(request({ maxRetries: 1 }), context({ onText: () => {} })));
    expect([error.reason, lm.calls]).toEqual(['LM_UNAVAILABLE', 2]);
  });

  it('ends at [DONE] although the endpoint keeps the connection open', async () => {
    const writes = ['data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'];
    lm.enqueue({ kind: 'raw', contentType: 'text/event-stream', writes, ending: 'hang' });
    expect((await client.complete(request(), context({ onText: () => {} }))).text).toBe('x');
  });
});

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

describe('the end of a call', () => {
  it('closes the socket at once when the caller goes away', async () => {
    lm.enqueue({ kind: 'silence' });
    const control = new AbortController();
    const work = failure(client.complete(request(), context({ signal: control.signal })));
    await expect.poll(() => lm.calls).toBe(1);
    control.abort();
    expect((await work).reason).toBe('CANCELLED');
    await expect.poll(() => lm.requests[0]?.closedByClient).toBe(true);
  });

  it('comes before the endpoint is asked when the caller is gone or late already', async () => {
    expect((await failure(client.complete(request(), context({ signal: AbortSignal.abort() })))).reason).toBe(
      'CANCELLED',
    );
    expect((await failure(client.complete(request(), context({ deadlineMs: Date.now() - 1 })))).reason).toBe(
      'DEADLINE_EXCEEDED',
    );
    expect(lm.calls).toBe(0);
  });

  it('comes between two attempts too', async () => {
    lm.enqueue({ kind: 'status', status: 429, retryAfter: '5' });
    const control = new AbortController();
    const work = failure(client.complete(request(), context({ signal: control.signal })));
    await expect.poll(() => lm.calls).toBe(1);
    control.abort();
    expect((await work).reason).toBe('CANCELLED');
    expect(lm.calls).toBe(1);
  });
});

describe('constrained output', () => {
  it('sends a grammar of the outputs with the Chat adapter, and tokens enough', async () => {
    await client.complete(
      request({ outputFields: [answer, kind], options: { max_tokens: 16 } }, { constrained: 'grammar' }),
      context(),
    );
    const { grammar, max_tokens: maxTokens } = lm.requests[0]!.body;
    expect(maxTokens).toBe(256);
    expect(String(grammar).split('\n')[0]).toBe(
      'root ::= "[[ ## answer ## ]]\\n" line "\\n\\n" "[[ ## kind ## ]]\\n" ("a\\"b" | "3" | "True") "\\n\\n" "[[ ## completed ## ]]"',
    );
  });

  it('sends a grammar of the object in place of a schema with the JSON adapter', async () => {
    const options = { response_format: { type: 'json_object' } };
    const shape = { promptAdapter: 'json', outputFields: [answer, kind], options };
    await client.complete(request(shape, { constrained: 'grammar' }), context());
    const { grammar, response_format: format } = lm.requests[0]!.body;
    expect(format).toBeUndefined();
    expect(String(grammar).split('\n')[0]).toBe(
      'root ::= "{" "\\"answer\\": " string ", " "\\"kind\\": " ("\\"a\\\\\\"b\\"" | "3" | "true") "}"',
    );
  });

  it('sends a schema with the JSON adapter, leaves one that is there, and has none for the Chat adapter', async () => {
    await client.complete(request({ promptAdapter: 'json' }, { constrained: 'json_schema' }), context());
    expect(lm.requests[0]?.body.response_format).toMatchObject({
      type: 'json_schema',
      json_schema: { schema: { properties: { answer: { type: 'string' } }, required: ['answer'] } },
    });
    const options = { response_format: { type: 'json_schema', json_schema: { name: 'own' } } };
    await client.complete(request({ promptAdapter: 'json', options }, { constrained: 'json_schema' }), context());
    expect(lm.requests[1]?.body.response_format).toEqual(options.response_format);
    await client.complete(request({}, { constrained: 'json_schema' }), context());
    expect(Object.keys(lm.requests[2]!.body)).toEqual(['model', 'messages', 'temperature']);
  });
});

async function closedPort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}/v1`;
}
