import { describe, expect, it } from 'vitest';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import { context, failure, newClient, useLmClient } from '../test-support/lm-client.ts';

const { lm, client, request } = await useLmClient();
const down = { kind: 'status', status: 503 } as const;

describe('a breaker', () => {
  it('leaves an endpoint alone that failed five times, says so at once, and tries again later', async () => {
    const own = newClient({ breaker: { openMs: 300 } });
    lm.enqueue(...Array.from({ length: 5 }, () => down));
    for (let at = 0; at < 5; at++) await failure(own.complete(request({ maxRetries: 0 }), context()));
    expect(lm.calls).toBe(5);
    const startMs = performance.now();
    const refused = await failure(own.complete(request(), context()));
    expect(refused).toMatchObject({ reason: 'LM_UNAVAILABLE', retryable: true, metadata: { breaker: 'open' } });
    expect(refused.retryAfterMs).toBeLessThanOrEqual(300);
    expect(performance.now() - startMs).toBeLessThan(150);
    expect(lm.calls).toBe(5);
    await expect
      .poll(
        () =>
          own.complete(request(), context()).then(
            () => 'answered',
            () => 'refused',
          ),
        { interval: 50 },
      )
      .toBe('answered');
    expect(lm.calls).toBe(6);
    await own.close();
  });

  it('does not open for refusals and limits, nor for another endpoint', async () => {
    const refusals = Array.from({ length: 3 }, () => ({ kind: 'status', status: 400 }) as const);
    const limits = Array.from({ length: 3 }, () => ({ kind: 'status', status: 429 }) as const);
    lm.enqueue(...refusals, ...limits, ...Array.from({ length: 5 }, () => down));
    for (let at = 0; at < 11; at++) await failure(client.complete(request({ maxRetries: 0 }), context()));
    expect((await failure(client.complete(request(), context()))).metadata.breaker).toBe('open');
    expect((await client.complete(request({}, { slug: 'another' }), context())).finishReason).toBe('stop');
  });
});

describe('limits', () => {
  it('let no more calls through at once than allowed, and the others in turn', async () => {
    lm.enqueue(...Array.from({ length: 6 }, () => ({ kind: 'text', text: 'x', delayMs: 60 }) as const));
    const startMs = performance.now();
    const work = Array.from({ length: 6 }, () => client.complete(request({}, { concurrencyMax: 2 }), context()));
    await Promise.all(work);
    expect(performance.now() - startMs).toBeGreaterThan(170);
    expect(lm.calls).toBe(6);
  });

  it('give up a place that nobody waits for any more', async () => {
    lm.enqueue({ kind: 'silence' });
    const one = { concurrencyMax: 1 };
    const control = new AbortController();
    const holding = failure(client.complete(request({}, one), context({ signal: control.signal })));
    await expect.poll(() => lm.calls).toBe(1);
    const late = await failure(client.complete(request({}, one), context({ deadlineMs: Date.now() + 100 })));
    expect(['DEADLINE_EXCEEDED', 'LM_RATE_LIMITED']).toContain(late.reason);
    control.abort();
    await holding;
    expect((await client.complete(request({}, one), context())).finishReason).toBe('stop');
  });

  it('of requests a minute refuse at once what would wait too long, and say for how long', async () => {
    const two = { requestsPerMinute: 2 };
    await client.complete(request({}, two), context());
    await client.complete(request({}, two), context());
    const error = await failure(client.complete(request({}, two), context()));
    expect(error).toMatchObject({
      reason: 'LM_RATE_LIMITED',
      retryable: true,
      metadata: { limit: 'requests per minute' },
    });
    expect(error.retryAfterMs).toBeGreaterThan(50_000);
    expect(lm.calls).toBe(2);
    // A limit that was raised holds from the next call on.
    expect((await client.complete(request({}, { requestsPerMinute: 10 }), context())).finishReason).toBe('stop');
  });

  it('of tokens a minute count what the endpoint says that it used', async () => {
    const few = { tokensPerMinute: 200 };
    await client.complete(request({ options: { max_tokens: 150 } }, few), context());
    // What was reserved for the reply is given back: the second one would not fit otherwise.
    await client.complete(request({ options: { max_tokens: 100 } }, few), context());
    const error = await failure(client.complete(request({ options: { max_tokens: 190 } }, few), context()));
    expect([error.reason, error.metadata.limit]).toEqual(['LM_RATE_LIMITED', 'tokens per minute']);
  });

  it('of time end an attempt, which is made again', async () => {
    lm.enqueue({ kind: 'silence' });
    const completion = await client.complete(request({}, { timeoutMs: 150 }), context());
    expect([completion.finishReason, lm.calls]).toEqual(['stop', 2]);
    lm.enqueue({ kind: 'silence' });
    const error = await failure(client.complete(request({ maxRetries: 0 }, { timeoutMs: 100 }), context()));
    expect([error.reason, error.message]).toEqual([
      'LM_UNAVAILABLE',
      'The language model did not answer within 100 ms',
    ]);
  });
});

describe('fallbacks', () => {
  const second = (more = {}) =>
    lmEndpoint({ slug: 'second', model: 'openai/second', apiBase: lm.url, apiKey: '', constrained: 'none', ...more });

  it.each([
    ['is not well', { kind: 'status', status: 503 }],
    ['is rate limited', { kind: 'status', status: 429, retryAfter: '30' }],
    ['hangs up', { kind: 'hangup' }],
    ['will never be able to', { kind: 'status', status: 501 }],
  ] as const)('are asked in order when an endpoint %s', async (_what, behaviour) => {
    lm.enqueue(behaviour, down);
    const prices = { inputPerMillion: 1_000_000, outputPerMillion: 2_000_000, currency: 'USD' } as const;
    const third = second({ slug: 'third', model: 'openai/third', prices });
    const calls: unknown[] = [];
    const completion = await client.complete(
      request({ maxRetries: 0 }, { fallbacks: [second(), third] }),
      context({ onCall: (call) => void calls.push(call) }),
    );
    expect(lm.requests.map(({ body }) => body.model)).toEqual(['gpt-x', 'second', 'third']);
    const cost = completion.promptTokens + 2 * completion.completionTokens;
    expect(calls).toMatchObject([{ slug: 'third', model: 'openai/third', attempts: 3, reason: '', cost }]);
  });

  it('are not asked when the endpoint refuses, nor once text was shown', async () => {
    lm.enqueue({ kind: 'status', status: 400 });
    expect((await failure(client.complete(request({}, { fallbacks: [second()] }), context()))).reason).toBe('LM_ERROR');
    lm.enqueue({ kind: 'chunks', chunks: ['[[ ## answer ## ]]\nAda', ' Love', 'lace'], breakAfter: 2 });
    const shown = client.complete(request({}, { fallbacks: [second()] }), context({ onText: () => {} }));
    expect((await failure(shown)).reason).toBe('LM_REPLY_UNREADABLE');
    expect(lm.requests.map(({ body }) => body.model)).toEqual(['gpt-x', 'gpt-x']);
  });

  it('that cannot answer either leave the first failure, with what became of them', async () => {
    lm.enqueue(down, { kind: 'status', status: 401 }, down);
    const calls: { reason: string; attempts: number }[] = [];
    const endpoint = { fallbacks: [second(), second({ slug: 'third' })] };
    const error = await failure(
      client.complete(request({ maxRetries: 0 }, endpoint), context({ onCall: (call) => void calls.push(call) })),
    );
    expect(error).toMatchObject({
      reason: 'LM_UNAVAILABLE',
      metadata: { status: '503', fallbacks: 'second: LM_ERROR, third: LM_UNAVAILABLE' },
    });
    expect(calls).toMatchObject([{ reason: 'LM_UNAVAILABLE', attempts: 3 }]);
  });

  it('take over at once while a breaker is open', async () => {
    lm.enqueue(...Array.from({ length: 5 }, () => down));
    for (let at = 0; at < 5; at++) await failure(client.complete(request({ maxRetries: 0 }), context()));
    await client.complete(request({}, { fallbacks: [second()] }), context());
    expect(lm.requests.at(-1)?.body.model).toBe('second');
    expect(lm.calls).toBe(6);
  });
});

describe('what a call is remembered by', () => {
  it('is the same hash for equal requests, streamed or not, and no credential', async () => {
    const hashes: string[] = [];
    const onCall = (call: { requestHash: Buffer }): undefined => void hashes.push(call.requestHash.toString('hex'));
    await client.complete(request(), context({ onCall }));
    await client.complete(request({}, { apiKey: 'another' }), context({ onCall, onText: () => {} }));
    await client.complete(request({ options: { temperature: 0.6 } }), context({ onCall }));
    expect(hashes[0]).toBe(hashes[1]);
    expect(new Set(hashes).size).toBe(2);
  });

  it('is given again in place of a new answer', async () => {
    const earlier = { text: 'as before', streamed: false, promptTokens: 1, completionTokens: 1, finishReason: 'stop' };
    expect(await client.complete(request(), context({ recall: () => earlier }))).toBe(earlier);
    expect(lm.calls).toBe(0);
  });
});
