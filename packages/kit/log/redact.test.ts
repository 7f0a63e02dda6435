import { expect, it } from 'vitest';
import { redact } from './redact.ts';

it.each([
  ['a key', 'used sgn_0123456789abcdef_xyz', '0123456789abcdef'],
  ['a bearer token', 'authorization: Bearer abc.def-ghi', 'abc.def-ghi'],
  ["a provider's key", 'key sk-proj-0123456789', 'proj-0123456789'],
  ['a database password', 'at postgresql://postgres:geheim@127.0.0.1:5432/x', 'geheim'],
])('hides %s', (_, text, secret) => {
  expect(redact(text)).not.toContain(secret);
  expect(redact(text)).toContain('[hidden]');
});

it('leaves ordinary text as it is', () => {
  expect(redact('program qa: 3 tokens, key_id 01a2009b')).toBe('program qa: 3 tokens, key_id 01a2009b');
});
