import { describe, expect, test } from 'vitest';
import { readHead } from './raw-head.ts';

const head = (lines: readonly string[], body = '{}') => Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
const plain = ['POST /v1/programs/qa:execute HTTP/1.1', 'host: x', 'Authorization: Bearer k', 'Content-Length: 2'];

describe('the head of a request before it is parsed', () => {
  test('tells where it goes, whose it is and how long its body is', () => {
    const seen = { target: '/v1/programs/qa:execute', authorization: 'Bearer k', bodyBytes: 2 };
    expect(readHead(head(plain))).toEqual(seen);
    expect(readHead(head([...plain, 'connection: Keep-Alive']))).toEqual(seen);
  });

  test.each([
    ['another method', head(['GET / HTTP/1.1', 'content-length: 2'])],
    ['another version', head(['POST / HTTP/1.0', 'content-length: 2'])],
    ['no length', head(['POST / HTTP/1.1', 'host: x'], '')],
    ['two lengths', head([...plain, 'content-length: 2'])],
    ['a length that is no number', head(['POST / HTTP/1.1', 'content-length: 0x2'])],
    ['a signed length', head(['POST / HTTP/1.1', 'content-length: +2'])],
    ['a body that is still to come', head(plain, '{')],
    ['more than one request', Buffer.concat([head(plain), head(plain)])],
    ['a body in chunks', head([...plain, 'transfer-encoding: chunked'])],
    ['a wish to close', head([...plain, 'connection: close'])],
    ['a wish to go on first', head([...plain, 'expect: 100-continue'])],
    ['an upgrade', head([...plain, 'upgrade: h2c'])],
    ['two keys', head([...plain, 'authorization: Bearer other'])],
    ['a line without a name', head([...plain, ' folded'])],
    ['a head without an end', Buffer.from('POST / HTTP/1.1\r\ncontent-length: 2\r\n')],
    ['a head without end or bound', Buffer.from(`POST / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)],
    ['a large body', head(['POST / HTTP/1.1', 'content-length: 70000'], 'x'.repeat(70_000))],
    ['nothing', Buffer.alloc(0)],
  ])('leaves %s to the HTTP server', (_what, chunk) => {
    expect(readHead(chunk)).toBeUndefined();
  });
});
