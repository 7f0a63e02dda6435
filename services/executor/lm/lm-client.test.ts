import { type OutputField, Type, TypeKind } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { describe, expect, it } from 'vitest';
import { answer, apiKey, chatText, context, failure, useLmClient } from '../test-support/lm-client.ts';

const { lm, client, request } = await useLmClient();
const kind: OutputField = {
  name: 'kind',
  text: false,
  type: Type.create({
    kind: TypeKind.TYPE_KIND_LITERAL,
    valuesJson: [Buffer.from('"a\\"b"'), Buffer.from('3'), Buffer.from('true')],
  }),
};

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
