import { SpanStatusCode } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import { apiKey, chatText, context, failure, useLmClient } from '../test-support/lm-client.ts';
import { createLmClient } from './lm-client.ts';

const { lm, request } = await useLmClient();
const exporter = new InMemorySpanExporter();
const tracer = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }).getTracer('test');
const client = createLmClient({ tracer });
const prices = { inputPerMillion: 1, outputPerMillion: 1, currency: 'USD' } as const;

describe('the span of a call', () => {
  beforeEach(() => exporter.reset());
  afterAll(() => client.close());

  it('names the model, what was used and paid, and what was not said, but neither prompt nor key', async () => {
    const options = { temperature: 0.5, response_format: { type: 'json_object' } };
    await client.complete(request({ options }, { prices }), context());
    const [span] = exporter.getFinishedSpans();
    expect([span?.name, span?.spanContext().traceId]).toEqual(['chat gpt-x', 'a'.repeat(32)]);
    expect(span?.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt-x',
      'gen_ai.request.temperature': 0.5,
      'gen_ai.usage.input_tokens': expect.any(Number),
      'gen_ai.response.finish_reasons': ['stop'],
      'server.address': '127.0.0.1',
      'signet.lm.cost': expect.any(Number),
      'signet.lm.dropped_options': ['response_format'],
    });
    const text = JSON.stringify([span?.attributes, span?.events, span?.status]);
    for (const secret of [apiKey, 'who?', 'Ada']) expect(text).not.toContain(secret);
    expect(chatText).toContain('Ada');
  });

  it('is one for each model that was asked, and says in whose place', async () => {
    lm.enqueue({ kind: 'status', status: 503 }, { kind: 'status', status: 503 });
    const second = lmEndpoint({
      slug: 'second',
      model: 'groq/second',
      apiBase: lm.url,
      apiKey: '',
      constrained: 'none',
    });
    await client.complete(request({ maxRetries: 1 }, { slug: 'first', fallbacks: [second] }), context());
    const [first, other] = exporter.getFinishedSpans();
    expect(first?.status).toMatchObject({ code: SpanStatusCode.ERROR, message: 'LM_UNAVAILABLE' });
    expect(first?.events.map(({ name }) => name)).toEqual(['retry']);
    expect(first?.attributes['signet.lm.fallback_of']).toBeUndefined();
    expect(other?.attributes).toMatchObject({
      'signet.lm.slug': 'second',
      'signet.lm.fallback_of': 'first',
      'gen_ai.provider.name': 'groq',
    });
  });

  it('ends with the reason of a failure', async () => {
    lm.enqueue({ kind: 'status', status: 400, message: `bad ${apiKey}` });
    await failure(client.complete(request(), context()));
    expect(JSON.stringify(exporter.getFinishedSpans()[0]?.status)).not.toContain(apiKey);
    expect(exporter.getFinishedSpans()[0]?.attributes['error.type']).toBe('LM_ERROR');
  });
});
