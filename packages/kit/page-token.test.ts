import { expect, it } from 'vitest';
import { decodePageToken, encodePageToken, pageSize } from './page-token.ts';

const query = ['programs', 'status = ready', 'create_time desc'];

it('gives back the keys that it was made of', () => {
  expect(decodePageToken(encodePageToken(query, ['2026', 'id']), query, 2)).toEqual(['2026', 'id']);
  expect(decodePageToken('', query, 2)).toBeUndefined();
});

it.each([
  ['of another filter', encodePageToken(['programs', '', 'create_time desc'], ['2026', 'id'])],
  ['of too few keys', encodePageToken(query, ['2026'])],
  ['that is no base64', '%%%'],
  ['that is no list', Buffer.from('{"a":1}').toString('base64url')],
  ['with a NUL in a key', encodePageToken(query, ['\0', 'id'])],
  ['with numbers for keys', Buffer.from('["x",1,2]').toString('base64url')],
])('refuses a token %s', (_, token) => {
  expect(() => decodePageToken(token, query, 2)).toThrow(expect.objectContaining({ reason: 'PAGE_TOKEN_INVALID' }));
});

it('reads 0 as 50, cuts at 1,000 and refuses negative sizes', () => {
  expect([pageSize(0), pageSize(7), pageSize(5000)]).toEqual([50, 7, 1000]);
  expect(() => pageSize(-1)).toThrow(expect.objectContaining({ reason: 'INVALID_REQUEST' }));
});
