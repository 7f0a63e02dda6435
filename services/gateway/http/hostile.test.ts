import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type GatewayRig, rigKeys, startRig } from '../test-support/owners.ts';

let rig: GatewayRig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.close());
beforeEach(() => {
  rig.reset();
});

type Told = { status: number; reason: string; violations?: { field: string; reason: string }[] };

async function send(body: string | Blob, headers: Record<string, string> = {}): Promise<Told> {
  const answer = await rig.fetch('/v1/programs/qa:execute', { method: 'POST', body, headers });
  expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  const told = (await answer.json()) as Told;
  expect(told.status).toBe(answer.status);
  return told;
}

/** Sends raw bytes and gives back all that comes until the server closes. */
function raw(text: string | Buffer): Promise<string> {
  const [host, port] = rig.app.listening.http!.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host!);
    let answer = '';
    socket.on('data', (bytes) => {
      answer += bytes.toString('latin1');
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    socket.write(text);
  });
}

const deep = (levels: number): string => `{"inputs":{"a":${'['.repeat(levels)}${']'.repeat(levels)}}}`;

describe('a hostile body', () => {
  test.each([
    ['not JSON', 'hello', 'body', 'JSON_SYNTAX'],
    ['half of JSON', '{"inputs":{"a":', 'body', 'JSON_SYNTAX'],
    ['a list', '[]', 'body', 'TYPE_MISMATCH'],
    ['null', 'null', 'body', 'TYPE_MISMATCH'],
    ['a byte order mark', '\ufeff{}', 'body', 'JSON_SYNTAX'],
    ['NaN', '{"inputs":{"a":NaN}}', 'body', 'JSON_SYNTAX'],
    ['an infinite number', '{"inputs":{"a":1e999}}', 'body', 'JSON_NUMBER'],
    ['a very long integer', `{"inputs":{"a":${'9'.repeat(5000)}}}`, 'body', 'JSON_NUMBER'],
    ['a key twice', '{"inputs":{"a":1,"a":2}}', 'body', 'JSON_DUPLICATE_KEY'],
    ['deep nesting', deep(31), 'body', 'JSON_TOO_DEEP'],
    ['very deep nesting', deep(100_000), 'body', 'JSON_TOO_DEEP'],
    ['\\u0000 in a value', '{"inputs":{"a":{"b":["\\u0000"]}}}', 'inputs.a.b[0]', 'TEXT_INVALID'],
    ['\\u0000 in a key', '{"inputs":{"\\u0000":1}}', 'inputs["\\u0000"]', 'TEXT_INVALID'],
    ['a lone surrogate', '{"inputs":{"a":"\\ud83d"}}', 'inputs.a', 'TEXT_INVALID'],
    ['a raw control character', '{"inputs":{"a":"\u0001"}}', 'body', 'JSON_SYNTAX'],
    ['an unknown field', '{"input":{}}', 'input', 'FIELD_UNKNOWN'],
    ['__proto__', '{"__proto__":{"admin":true}}', '__proto__', 'FIELD_UNKNOWN'],
    ['an unknown enum value', '{"executionOptions":{"engine":"quantum"}}', 'executionOptions.engine', 'VALUE_UNKNOWN'],
    ['text for a number', '{"executionOptions":{"timeoutMs":"soon"}}', 'executionOptions.timeoutMs', 'TYPE_MISMATCH'],
    ['a list for an object', '{"executionOptions":[]}', 'executionOptions', 'TYPE_MISMATCH'],
  ])('with %s is refused with its place', async (_what, body, field, reason) => {
    const told = await send(body);
    expect(told).toMatchObject({ status: 400, reason: 'INVALID_REQUEST', violations: [{ field, reason }] });
    expect(rig.seen).toEqual([]);
  });

  test('that is not UTF-8 is refused', async () => {
    const told = await send(new Blob([Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)], { type: 'application/json' }));
    expect(told).toMatchObject({ status: 400, violations: [{ field: 'body', reason: 'TEXT_INVALID' }] });
  });

  test('of 6 MB is refused as too large, one of 3 MB is taken', async () => {
    expect(await send(`{"inputs":{"a":"${'x'.repeat(6_000_000)}"}}`)).toMatchObject({
      status: 413,
      reason: 'PAYLOAD_TOO_LARGE',
    });
    const body = `{"inputs":{"a":"${'x'.repeat(3_000_000)}"}}`;
    expect((await rig.fetch('/v1/programs/qa:execute', { method: 'POST', body })).status).toBe(200);
  });

  test('of another media type or compressed is refused', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', '']) {
      expect(await send('{}', { 'content-type': type })).toMatchObject({
        status: 415,
        reason: 'UNSUPPORTED_MEDIA_TYPE',
      });
    }
    expect(await send('{}', { 'content-encoding': 'gzip' })).toMatchObject({ status: 415 });
    const utf8 = { 'content-type': 'Application/JSON; charset=utf-8' };
    expect((await rig.fetch('/v1/programs/qa:execute', { method: 'POST', body: '{}', headers: utf8 })).status).toBe(
      200,
    );
  });

  test('keeps `__proto__` and `constructor` inside a payload as plain keys', async () => {
    const body = '{"inputs":{"__proto__":{"admin":true},"constructor":{"prototype":1}}}';
    await rig.fetch('/v1/programs/qa:execute', { method: 'POST', body });
    const { inputs } = rig.seen[0]!.request as { inputs: { kind: { value: Buffer } } };
    expect(`{"inputs":${inputs.kind.value}}`).toBe(body);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  test('where none belongs is refused, an empty object is not', async () => {
    const refused = await rig.fetch('/v1/programs/qa', { method: 'DELETE', body: '{"force":true}' });
    expect(await refused.json()).toMatchObject({ status: 400, violations: [{ field: 'body' }] });
    expect((await rig.fetch('/v1/programs/qa', { method: 'DELETE', body: '{}' })).status).toBe(204);
  });

  test('may be missing', async () => {
    expect((await rig.fetch('/v1/programs/qa:initialize', { method: 'POST' })).status).toBe(200);
  });
});

describe('a hostile path', () => {
  const key = `authorization: Bearer ${rigKeys.admin}\r\n`;
  const get = (path: string) => raw(`GET ${path} HTTP/1.1\r\nhost: x\r\n${key}connection: close\r\n\r\n`);

  test.each([
    ['/v1/programs/%2e%2e%2f%2e%2e', 200, '../..'],
    ['/v1/programs/a%2fb', 200, 'a/b'],
    ['/v1/programs/..', 200, '..'],
    ['/v1/programs/%25', 200, '%'],
    ['/v1/programs/a%3Ab', 200, 'a:b'],
  ])('%s is one name, decoded once', async (path, status, name) => {
    expect(await get(path)).toContain(`HTTP/1.1 ${status}`);
    expect(rig.seen[0]!.request).toMatchObject({ program: name });
  });

  test.each([
    ['/v1/programs/%', 400],
    ['/v1/programs/%c3%28', 400],
    ['/v1/programs/a%00', 400],
    ['/v1/programs/', 404],
    ['/v1//programs', 404],
    ['/v1/programs/a:b', 404],
    ['/../etc/passwd', 404],
    ['/v1/programs/a/../../me', 404],
    ['*', 404],
    [`/${'x'.repeat(8000)}`, 404],
  ])('%s is refused', async (path, status) => {
    expect(await get(path)).toContain(`HTTP/1.1 ${status}`);
    expect(rig.seen).toEqual([]);
  });
});

describe('what is hardly HTTP', () => {
  test('is answered by a problem and closed', async () => {
    expect(await raw('hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*application\/problem\+json.*INVALID_REQUEST/s);
    expect(await raw(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
    const both = 'POST /v1/programs HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}';
    expect(await raw(both)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw('BREW /v1/programs HTTP/1.1\r\nhost: x\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw('TRACE /v1/programs HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 405 /,
    );
  });
});
