import { expect, it } from 'vitest';
import { redact } from './redact.ts';

it.each([
  ['a key', 'used sgn_0123456789abcdef_xyz', '0123456789abcdef'],
  ['a bearer token', 'authorization: Bearer abc.def-ghi', 'abc.def-ghi'],
  ["a provider's key", 'key sk-proj-0123456789', 'proj-0123456789'],
  ['a database password', 'at postgresql://postgres:geheim@127.0.0.1:5432/x', 'geheim'],
  ['a password in any address', 'asked https://user:geheim@host/v1', 'geheim'],
  ['a key in a query', 'GET /models?api_key=geheim-0123&x=1', 'geheim'],
  ['a key in a header', 'x-api-key: geheim-0123', 'geheim'],
  ['a variable of the environment', 'SIGNET_INTERNAL_TOKEN=geheim', 'geheim'],
])('hides %s', (_, text, secret) => {
  expect(redact(text)).not.toContain(secret);
  expect(redact(text)).toContain('[hidden]');
});

it('leaves ordinary text as it is', () => {
  for (const text of [
    'program qa: 3 tokens, key_id 01a2009b',
    'http://127.0.0.1:8080/v1 for a@b.c',
    'password authentication failed for user "x"',
    '{"reason":"KEY_INVALID","metadata":{"field":"page_token"}}',
  ])
    expect(redact(text)).toBe(text);
});
