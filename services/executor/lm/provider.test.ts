import { type OutputField, Type, TypeKind } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { expect, it } from 'vitest';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import { answer, context, failure, newClient } from '../test-support/lm-client.ts';
import { maxTokensDefault } from './anthropic.ts';
import { providerSuite } from './provider.suite.ts';

const tags: OutputField = {
  name: 'tags',
  text: false,
  type: Type.create({ kind: TypeKind.TYPE_KIND_LIST, args: [Type.create({ kind: TypeKind.TYPE_KIND_STR })] }),
};
const table: OutputField = {
  name: 'table',
  text: false,
  type: Type.create({
    kind: TypeKind.TYPE_KIND_DICT,
    args: [Type.create({ kind: TypeKind.TYPE_KIND_STR }), Type.create({ kind: TypeKind.TYPE_KIND_INT })],
  }),
};
const constrained = { constrained: 'json_schema' } as const;

providerSuite('openai', ({ lm, client, request }) => {
  it('sends what the endpoint can do, and no more', async () => {
    const response_format = { type: 'json_schema', json_schema: { name: 'x', schema: {} } };
    const tools = [{ type: 'function', function: { name: 'f' } }];
    const options = { response_format, tools, tool_choice: 'auto' };
    const can = { jsonSchema: false, jsonObject: true, grammar: false, streaming: true, tools: false };
    await client().complete(request({ options }, { capabilities: can }), context());
    expect(lm().requests[0]?.body.response_format).toEqual({ type: 'json_object' });
    expect(lm().requests[0]?.body.tools).toBeUndefined();
    await client().complete(request({ options }, { capabilities: { ...can, jsonObject: false } }), context());
    expect(Object.keys(lm().requests[1]!.body)).toEqual(['model', 'messages']);
  });

  it("lets a call's options win over the endpoint's", async () => {
    const parameters = new Map<string, string | null>([
      ['user', 'own'],
      ['model', 'other'],
      ['seed', null],
    ]);
    await client().complete(request({}, { parameters }), context());
    expect(lm().requests[0]?.body).toMatchObject({ user: 'own', model: 'gpt-x' });
    await client().complete(request({ options: { user: 'mine' } }, { parameters }), context());
    expect(lm().requests[1]?.body.user).toBe('mine');
  });
});

providerSuite('anthropic', ({ lm, client, request }) => {
  it('keeps the system apart, joins neighbours and names how long a reply may be', async () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'one' },
      { role: 'user', content: 'two' },
    ];
    await client().complete(request({ messages, options: { stop: 'END', user: 'u' } }), context());
    expect(lm().requests[0]?.body).toEqual({
      model: 'claude-x',
      max_tokens: maxTokensDefault,
      system: [{ type: 'text', text: 'Be brief.' }],
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'one' },
            { type: 'text', text: 'two' },
          ],
        },
      ],
      stop_sequences: ['END'],
      metadata: { user_id: 'u' },
    });
  });

  it('sends a schema in its own words, and leaves out what only steers the sampling', async () => {
    const options = { seed: 1, presence_penalty: 0.5, response_format: { type: 'json_object' } };
    await client().complete(request({ options, promptAdapter: 'json' }, constrained), context());
    expect(lm().requests[0]?.body.output_config).toMatchObject({
      format: { type: 'json_schema', schema: { type: 'object' } },
    });
  });

  it('takes an address that ends in its version', async () => {
    expect((await client().complete(request({}, { apiBase: `${lm().origin}/v1` }), context())).finishReason).toBe(
      'stop',
    );
  });
});

providerSuite('gemini', ({ lm, client, request }) => {
  it('says everything in its own words', async () => {
    const options = { temperature: 0.1, top_p: 0.2, max_tokens: 9, stop: ['END'], seed: 3, logit_bias: { 1: 2 } };
    await client().complete(
      request({ options, promptAdapter: 'json', outputFields: [answer, tags] }, constrained),
      context(),
    );
    expect(lm().requests[0]?.body).toEqual({
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      contents: [
        { role: 'user', parts: [{ text: 'one' }] },
        { role: 'model', parts: [{ text: 'two' }] },
        { role: 'user', parts: [{ text: 'three' }] },
      ],
      generationConfig: {
        temperature: 0.1,
        topP: 0.2,
        maxOutputTokens: 9,
        stopSequences: ['END'],
        seed: 3,
        responseMimeType: 'application/json',
        responseSchema: {
          type: 'OBJECT',
          properties: { answer: { type: 'STRING' }, tags: { type: 'ARRAY', items: { type: 'STRING' } } },
          propertyOrdering: ['answer', 'tags'],
          required: ['answer', 'tags'],
        },
      },
    });
  });

  it('falls back to JSON Schema for what its own schemas cannot say', async () => {
    await client().complete(request({ promptAdapter: 'json', outputFields: [table] }, constrained), context());
    const config = lm().requests[0]?.body.generationConfig as Record<string, unknown>;
    expect(config.responseSchema).toBeUndefined();
    expect(config.responseJsonSchema).toMatchObject({
      properties: { table: { additionalProperties: { type: 'integer' } } },
    });
  });

  it('tells a blocked prompt, a refused key and a delay that stands in the body alone', async () => {
    lm().enqueue({ kind: 'body', body: { promptFeedback: { blockReason: 'PROHIBITED_CONTENT' } } });
    expect((await failure(client().complete(request(), context()))).message).toContain('PROHIBITED_CONTENT');
    const info = { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID' };
    lm().enqueue({ kind: 'body', body: { error: { code: 400, message: 'API key not valid.', details: [info] } } });
    expect((await failure(client().complete(request(), context()))).message).toContain('refused the credential');
    const delay = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '41.5s' };
    lm().enqueue({ kind: 'body', body: { error: { code: 429, message: 'Quota', details: [null, delay] } } });
    expect(await failure(client().complete(request(), context()))).toMatchObject({
      reason: 'LM_RATE_LIMITED',
      retryAfterMs: 41_500,
    });
  });

  it.each(['gemini/../../admin', 'gemini/a/../b', 'gemini/'])(
    'sends no request for a model called %s',
    async (model) => {
      expect((await failure(client().complete(request({}, { model }), context()))).reason).toBe('LM_NOT_CONFIGURED');
      expect(lm().requests).toHaveLength(0);
    },
  );
});

it.each(['anthropic', 'gemini'] as const)(
  'what %s cannot do at all is refused before anything is sent',
  async (provider) => {
    const client = newClient();
    for (const options of [{ n: 3 }, { logprobs: true }, { functions: [] }]) {
      const endpoint = lmEndpoint({
        model: `${provider}/x`,
        apiBase: 'http://127.0.0.1:9',
        apiKey: '',
        constrained: 'none',
      });
      const request = { endpoint, messages: [], options, outputFields: [], promptAdapter: 'chat' };
      const error = await failure(client.complete(request, context()));
      expect([error.reason, error.metadata.provider]).toEqual(['LM_ERROR', provider]);
    }
    await client.close();
  },
);
