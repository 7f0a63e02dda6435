import { describe, expect, it } from 'vitest';
import { isContextExceeded, retryAfterOf, statusFailure } from './failure.ts';

describe('the time to wait', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  it.each<[Record<string, string>, number | undefined]>([
    [{ 'retry-after': '3' }, 3000],
    [{ 'retry-after': '0.25' }, 250],
    [{ 'retry-after': 'Thu, 01 Jan 2026 00:00:05 GMT' }, 5000],
    [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, 0],
    [{ 'retry-after': '3', 'retry-after-ms': '40' }, 40],
    [{ 'retry-after': '1e300' }, 86_400_000],
    [{ 'retry-after': 'Infinity' }, 86_400_000],
    [{ 'retry-after': '-5' }, 0],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': '', 'retry-after-ms': ' ' }, undefined],
    [{}, undefined],
  ])('is read out of %j', (headers, expected) => {
    expect(retryAfterOf((name) => headers[name], now)).toBe(expected);
  });
});

describe('what a provider says', () => {
  const say = (message: string) =>
    statusFailure(400, JSON.stringify({ error: { message } }), undefined, 'a-very-own-key').error.message;

  it('is passed on without keys and control characters, shortened', () => {
    expect(say('bad key a-very-own-key here')).toContain('bad key [redacted] here');
    expect(say('sk-abcdefgh12345678 and Bearer abc.def')).toContain('[redacted] and Bearer [redacted]');
    expect(say('a\u0000\u001bb')).toContain('a b');
    expect(say('x'.repeat(5000)).length).toBeLessThan(700);
  });

  it('is left out when it is a page or nothing', () => {
    for (const body of ['<html>secret page</html>', '', 'null', '[]', '{"error":7}']) {
      expect(statusFailure(500, body, undefined, '').error.message).toBe(
        "The language model's endpoint answered with status 500",
      );
    }
  });

  it.each([
    [429, 'LM_RATE_LIMITED', true],
    [408, 'LM_UNAVAILABLE', true],
    [503, 'LM_UNAVAILABLE', true],
    [501, 'LM_ERROR', false],
    [404, 'LM_ERROR', false],
    [403, 'LM_ERROR', false],
    [302, 'LM_ERROR', false],
  ])('with status %i becomes %s', (status, reason, repeatable) => {
    const failure = statusFailure(status, '', undefined, '');
    expect([failure.error.reason, failure.repeatable, failure.error.retryable]).toEqual([
      reason,
      repeatable,
      repeatable,
    ]);
  });
});

describe('a prompt that is too long', () => {
  it.each([
    [
      'OpenAI',
      400,
      { error: { message: 'Too many tokens', type: 'invalid_request_error', code: 'context_length_exceeded' } },
    ],
    [
      'what speaks as it does',
      400,
      { message: "This model's maximum context length is 4096 tokens. However, you asked 9" },
    ],
    [
      'Anthropic',
      400,
      { type: 'error', error: { type: 'invalid_request_error', message: 'prompt is too long: 9 tokens > 8' } },
    ],
    [
      'Anthropic with an answer',
      400,
      { error: { message: 'input length and `max_tokens` exceed context limit: 9 + 9 > 8' } },
    ],
    [
      'Gemini',
      400,
      { error: { code: 400, message: 'The input token count (9) exceeds the maximum number of tokens allowed (8).' } },
    ],
    [
      'llama.cpp',
      400,
      {
        error: {
          code: 400,
          message: 'the request exceeds the available context size',
          type: 'exceed_context_size_error',
        },
      },
    ],
  ])('is told apart from other refusals, in the words of %s', (_, status, body) => {
    const { error, repeatable } = statusFailure(status, JSON.stringify(body), undefined, '');
    expect(isContextExceeded(error)).toBe(true);
    expect(repeatable).toBe(false);
    expect(error.message).toMatch(/^The prompt is longer than the language model takes: /);
  });

  it('is none of the rest', () => {
    for (const [status, body] of [
      [400, '{"error":{"message":"bad temperature"}}'],
      [500, 'maximum context length'],
    ] as const) {
      expect(isContextExceeded(statusFailure(status, body, undefined, '').error)).toBe(false);
    }
  });
});
