import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import { isObject, type JsonObject, jsonFromPlain } from '@signet/signature/json.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createToolCaller, type ToolCaller } from './call-tool.ts';
import { type Tool, toolsOf } from './tool.ts';

const tracer = new TracerProvider({}).getTracer('test');

describe('a tool', () => {
  let server: Server;
  let base = '';
  let caller: ToolCaller;
  let strict: ToolCaller;
  let calls = 0;

  beforeAll(async () => {
    server = createServer((request, response) => {
      calls += 1;
      const path = request.url ?? '';
      if (path.startsWith('/moved')) response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
      else if (path.startsWith('/huge')) response.end('x'.repeat(2_000_000));
      else if (path.startsWith('/text'))
        response.writeHead(200, { 'content-type': 'text/plain' }).end('plain \u0007 text');
      else if (path.startsWith('/broken')) {
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"a": ');
      } else if (path.startsWith('/json')) {
        response
          .writeHead(200, { 'content-type': 'application/json; charset=utf-8' })
          .end('[1.0, 123456789012345678901]');
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    caller = createToolCaller({ tracer }, { allowPrivate: true });
    strict = createToolCaller({ tracer }, { allowPrivate: false });
  });
  afterAll(async () => {
    await Promise.all([caller.close(), strict.close()]);
    server.closeAllConnections();
    server.close();
  });

  function toolAt(url: string, more: object = {}): Tool {
    const args = { n: { type: 'integer' }, kind: { enum: ['a', 'b'], default: 'a' } };
    const config = jsonFromPlain({ tools: [{ name: 't', url, method: 'GET', args, timeout_ms: 400, ...more }] });
    return toolsOf(isObject(config) ? config : undefined).get('t')!;
  }
  const call = (tool: Tool | undefined, args = '{"n":1}', by = caller, signal = new AbortController().signal) =>
    by.call(tool, 't', args, { signal, deadlineMs: Date.now() + 5_000, trace: ROOT_CONTEXT });

  it('gives JSON with every digit, and other text as text', async () => {
    expect(await call(toolAt(`${base}/json`))).toBe('[1.0,123456789012345678901]');
    expect(JSON.parse(await call(toolAt(`${base}/text`)))).toBe('plain \u0007 text');
    expect(JSON.parse(await call(toolAt(`${base}/broken`)))).toBe('{"a": ');
  });

  it.each([
    ['{"n":1.5}', 'Arg n is invalid: it must be of type integer.'],
    ['{"n":"1"}', 'Arg n is invalid: it must be of type integer.'],
    ['{}', 'Arg n is missing.'],
    ['{"n":1,"x":2}', "Arg x is not in the tool's args."],
    ['{"n":1,"__proto__":2}', "Arg __proto__ is not in the tool's args."],
    ['{"n":1,"kind":"c"}', 'Arg kind is invalid: it must be one of those that the tool lists.'],
    ['[1]', 'the arguments are not a JSON object'],
    ['{', 'the arguments are not a JSON object'],
  ])('is not called with %s', async (args, why) => {
    const before = calls;
    expect(JSON.parse(await call(toolAt(`${base}/json`), args))).toBe(`Execution error in t: ${why}`);
    expect(calls).toBe(before);
  });

  it('that answers by a redirect, with too much, or never, is an observation of a failure', async () => {
    expect(await call(toolAt(`${base}/moved`))).toContain('Execution error in t: HTTP 302');
    expect(await call(toolAt(`${base}/huge`))).toContain('the reply is longer than 1048576 bytes');
    expect(await call(toolAt(`${base}/never`))).toContain('it took too long');
    expect(await call(toolAt('http://127.0.0.1:1/'))).toContain('it could not be reached');
    expect(await call(undefined)).toContain('there is no such tool');
    expect(await call(toolAt('file:///etc/passwd'))).toContain('Execution error in t: ');
  });

  it('ends with its run', async () => {
    const control = new AbortController();
    const work = call(toolAt(`${base}/never`, { timeout_ms: 60_000 }), '{"n":1}', caller, control.signal);
    control.abort();
    expect(await work).toContain('Execution error in t: ');
  });

  it.each([
    'http://127.0.0.1:9/',
    'http://2130706433/',
    'http://[::ffff:7f00:1]/',
    'http://169.254.169.254/latest',
    'http://localhost/',
  ])('at %s is not called unless private addresses are allowed', async (url) => {
    const before = calls;
    const observation = await call(toolAt(url), '{"n":1}', strict);
    expect(observation).toContain('Execution error in t: ');
    expect(observation).not.toContain('127.0.0.1');
    expect(calls).toBe(before);
  });

  it('is left out where it is none', () => {
    const config: JsonObject = new Map([['tools', ['x', null, new Map()]]]);
    expect(toolsOf(config).size).toBe(0);
    expect(toolsOf(undefined).size).toBe(0);
    expect(toolsOf(new Map([['tools', 'all']])).size).toBe(0);
  });
});
