import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LmEndpoint, LmProvider } from '../engine/engine.ts';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import { answer, chatText, context, failure, newClient } from '../test-support/lm-client.ts';
import { strictForms } from '../test-support/strict-forms.ts';
import { type StrictLm, startStrictLm } from '../test-support/strict-lm.ts';
import type { LmRequest } from './language-model.ts';
import type { LmClient } from './lm-client.ts';

const everything = { jsonSchema: true, jsonObject: true, grammar: false, streaming: true, tools: true };

/** What every provider's form promises, checked against an endpoint that speaks that form and refuses all else. */
export function providerSuite(provider: LmProvider, more: (tools: SuiteTools) => void = () => {}): void {
  const form = strictForms[provider];
  let lm: StrictLm;
  let client: LmClient;
  let turn = 0;
  const request = (part: Partial<LmRequest> = {}, endpoint: Partial<LmEndpoint> = {}): LmRequest => ({
    endpoint: lmEndpoint({
      slug: `lm-${turn}`,
      model: form.model,
      apiBase: provider === 'openai' ? `${lm.origin}/v1` : lm.origin,
      apiKey: 'key-0123456789',
      constrained: 'none',
      capabilities: everything,
      ...endpoint,
    }),
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'two' },
      { role: 'user', content: 'three' },
    ],
    options: {},
    outputFields: [answer],
    promptAdapter: 'chat',
    maxRetries: 0,
    ...part,
  });

  describe(`the form of ${provider}`, () => {
    beforeAll(async () => {
      lm = await startStrictLm(form, chatText);
      client = newClient();
    });
    beforeEach(() => {
      turn += 1;
      lm.requests.length = 0;
    });
    afterAll(() => Promise.all([client.close(), lm.close()]));

    it('gives text, usage and why it stopped', async () => {
      const completion = await client.complete(request(), context());
      expect(completion).toEqual({
        text: chatText,
        streamed: false,
        promptTokens: 11,
        completionTokens: 7,
        finishReason: 'stop',
      });
      lm.enqueue({ kind: 'text', text: 'cut', finish: 'length' }, { kind: 'text', text: '', finish: 'tool' });
      expect((await client.complete(request(), context())).finishReason).toBe('length');
      expect((await client.complete(request(), context())).finishReason).toBe('tool_calls');
      expect(lm.requests[0]?.headers.traceparent).toContain('a'.repeat(32));
    });

    it('gives the same as a stream, and shows text as it grows', async () => {
      const shown: string[] = [];
      const completion = await client.complete(request(), context({ onText: ({ text }) => shown.push(text) }));
      expect(completion).toMatchObject({
        text: chatText,
        streamed: true,
        promptTokens: 11,
        completionTokens: 7,
        finishReason: 'stop',
      });
      expect(shown.join('')).toBe('Ada Lovelace');
      expect(shown.length).toBeGreaterThan(1);
    });

    it('asks for no stream where there is none', async () => {
      const capabilities = { ...everything, streaming: false };
      const completion = await client.complete(request({}, { capabilities }), context({ onText: () => {} }));
      expect(completion).toMatchObject({ text: chatText, streamed: true });
      expect(form.isStream(lm.requests[0]!)).toBe(false);
    });

    it("takes the usual options by OpenAI's names", async () => {
      const options = { temperature: 0.5, top_p: 0.9, max_tokens: 50, stop: ['END'], n: 1, presence_penalty: null };
      expect((await client.complete(request({ options }), context())).text).toBe(chatText);
      const schema = {
        type: 'object',
        properties: { a: { type: 'string' } },
        required: ['a'],
        additionalProperties: false,
      };
      const response_format = { type: 'json_schema', json_schema: { name: 'x', schema } };
      expect((await client.complete(request({ options: { response_format } }), context())).text).toBe(chatText);
      const tools = [{ type: 'function', function: { name: 'f', description: 'd', parameters: schema } }];
      const asked = request({ options: { tools, tool_choice: 'auto' } });
      expect((await client.complete(asked, context())).text).toBe(chatText);
    });

    it('tells what it refuses, without the key', async () => {
      lm.enqueue({ kind: 'status', status: 400, message: 'bad key-0123456789 thing' });
      const error = await failure(client.complete(request(), context()));
      expect([error.reason, error.metadata.status]).toEqual(['LM_ERROR', '400']);
      expect(error.message).toContain('bad [redacted] thing');
      const refused = await failure(client.complete(request({}, { apiKey: '' }), context()));
      expect(refused.reason).toBe('LM_ERROR');
    });

    it('is rate limited, away or overloaded, and says for how long', async () => {
      lm.enqueue({ kind: 'status', status: 429, message: 'slow', headers: { 'retry-after': '60' } });
      expect(await failure(client.complete(request(), context()))).toMatchObject({
        reason: 'LM_RATE_LIMITED',
        retryAfterMs: 60_000,
      });
      lm.enqueue({ kind: 'status', status: 529, message: 'Overloaded' });
      expect((await failure(client.complete(request(), context()))).reason).toBe('LM_UNAVAILABLE');
      lm.enqueue({ kind: 'overloaded', pieces: ['[[ ##'] });
      expect((await failure(client.complete(request(), context({ onText: () => {} })))).reason).toBe('LM_UNAVAILABLE');
    });

    it('says when a model refuses to answer', async () => {
      lm.enqueue({ kind: 'text', text: '', finish: 'refused' });
      const error = await failure(client.complete(request({ maxRetries: 2 }), context()));
      expect([error.reason, error.retryable]).toEqual(['LM_ERROR', false]);
      expect(error.message).toContain('refused to answer');
      expect(lm.requests).toHaveLength(1);
    });

    it('asks again when a stream breaks off, but not once text was shown', async () => {
      lm.enqueue({ kind: 'pieces', pieces: ['[[ ## '] });
      const again = await client.complete(request({ maxRetries: 1 }), context({ onText: () => {} }));
      expect(again.text).toBe(chatText);
      lm.enqueue({ kind: 'pieces', pieces: ['[[ ## answer ## ]]\nAda', ' Love', 'lace'] });
      const error = await failure(client.complete(request({ maxRetries: 1 }), context({ onText: () => {} })));
      expect([error.reason, lm.requests.length]).toEqual(['LM_REPLY_UNREADABLE', 3]);
    });

    it.each([{}, [], { candidates: 7, content: 7, choices: 7 }, { choices: [null], candidates: [null] }])(
      'finds no answer in %j',
      async (body) => {
        lm.enqueue({ kind: 'body', body });
        expect((await failure(client.complete(request(), context()))).reason).toBe('LM_REPLY_UNREADABLE');
      },
    );

    it('closes its socket when the caller goes away', async () => {
      lm.enqueue({ kind: 'silence' });
      const control = new AbortController();
      const work = failure(client.complete(request(), context({ signal: control.signal })));
      await expect.poll(() => lm.requests.length).toBe(1);
      control.abort();
      expect((await work).reason).toBe('CANCELLED');
      await expect.poll(() => lm.requests[0]?.closedByClient).toBe(true);
    });

    more({ lm: () => lm, client: () => client, request });
  });
}

/** What tests of one provider alone are given. */
export type SuiteTools = {
  lm(): StrictLm;
  client(): LmClient;
  request(part?: Partial<LmRequest>, endpoint?: Partial<LmEndpoint>): LmRequest;
};
