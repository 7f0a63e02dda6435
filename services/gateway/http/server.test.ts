import type { AppError } from '@signet/kit/error/app-error.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loadContract } from '../contract/public-methods.ts';
import { type GatewayRig, rigKeys, sampleProgram, sampleResult, startRig } from '../test-support/owners.ts';

let rig: GatewayRig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.close());
beforeEach(() => {
  rig.reset();
});

const post = (body: string, headers: Record<string, string> = {}): RequestInit => ({ method: 'POST', body, headers });
const bindings = loadContract().methods.flatMap((method) => method.bindings.map((binding) => ({ method, binding })));

describe('the HTTP door', () => {
  test.each(bindings.map((one) => [`${one.binding.httpMethod} ${one.binding.template}`, one] as const))(
    'passes %s on to its owner',
    async (_label, { method, binding }) => {
      const path = binding.template.replace(/\{[a-z_]+\}/g, '7');
      const body = binding.hasBody ? '{}' : null;
      const answer = await rig.fetch(path, { method: binding.httpMethod, body });
      await answer.text();
      expect(answer.status).toBe(method.desc.output.typeName === 'google.protobuf.Empty' ? 204 : 200);
      expect(rig.seen.map((one) => one.method)).toEqual([method.name]);
    },
  );

  test('keeps every digit of a payload in both directions', async () => {
    const digits = '{"a":9007199254740993,"b":0.1000000000000000055,"c":1.0,"d":-0,"e":1E400}'.replace('1E400', '1E4');
    rig.answer('ExecuteProgram', (request: { inputs: { kind: { value: Buffer } } }) =>
      sampleResult(request.inputs.kind.value.toString()),
    );
    const answer = await rig.fetch('/v1/programs/qa:execute', post(`{ "inputs" : ${digits} }`));
    expect(await answer.text()).toContain(`"outputs":${digits}`);
  });

  test('answers with the status, the place and the etag that the owner says', async () => {
    rig.answer('CreateProgram', (_request, ctx) => {
      ctx.reply('signet-http-status', '201');
      ctx.reply('location', '/v1/programs/0197');
      return sampleProgram();
    });
    const answer = await rig.fetch(
      '/v1/programs',
      post('{"name":"qa","signatureSpec":"a -> b","adapterType":"python_port"}'),
    );
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toBe('/v1/programs/0197');
    expect(answer.headers.get('etag')).toBe('"e1"');
    expect(await answer.json()).toMatchObject({
      status: 'PROGRAM_STATUS_DRAFT',
      adapterType: 'ADAPTER_TYPE_PYTHON_PORT',
    });
  });

  test('maps Idempotency-Key, If-Match and Prefer, and makes the mask of an update from the body', async () => {
    await rig.fetch('/v1/programs/qa', {
      method: 'PATCH',
      body: '{"description":"","labels":{"a":"b"},"lm":null}'.replace(',"lm":null', ''),
      headers: { 'idempotency-key': 'r1', 'if-match': 'W/"e1"', prefer: 'respond-async' },
    });
    expect(rig.seen[0]!.request).toMatchObject({
      program: 'qa',
      requestId: 'r1',
      etag: 'e1',
      description: '',
      updateMask: ['description', 'labels'],
    });
    expect(rig.seen[0]!.ctx.header('prefer')).toBe('respond-async');
    expect(rig.seen[0]!.ctx.header('signet-payload')).toBe('json');
  });

  test('clears with null what the body names, and leaves a given mask as it is', async () => {
    await rig.fetch('/v1/programs/qa', { method: 'PATCH', body: '{"configuration":null}' });
    await rig.fetch('/v1/programs/qa', { method: 'PATCH', body: '{"name":"x","description":"y","updateMask":"name"}' });
    expect(rig.seen[0]!.request).toMatchObject({ updateMask: ['configuration'], configuration: undefined });
    expect(rig.seen[1]!.request).toMatchObject({ updateMask: ['name'] });
  });

  test('refuses a header that contradicts the body, and a body that contradicts the path', async () => {
    const keyed = await rig.fetch('/v1/programs/qa:execute', post('{"requestId":"a"}', { 'idempotency-key': 'b' }));
    expect(await keyed.json()).toMatchObject({ status: 400, violations: [{ field: 'requestId' }] });
    const unsaid = await rig.fetch('/v1/programs/qa:execute', post('{"requestId":""}', { 'idempotency-key': 'b' }));
    expect([unsaid.status, rig.seen[0]!.request.requestId]).toEqual([200, 'b']);
    const pathed = await rig.fetch('/v1/programs/qa:execute', post('{"program":"other"}'));
    expect(await pathed.json()).toMatchObject({ status: 400, violations: [{ field: 'program' }] });
    expect((await rig.fetch('/v1/programs/qa:execute', post('{"program":"qa"}'))).status).toBe(200);
  });

  test('passes a deadline on and answers 504 when it is over', async () => {
    rig.answer(
      'GetProgram',
      (_request, ctx) =>
        new Promise((_resolve, reject) => {
          ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason));
        }),
    );
    const startMs = Date.now();
    const answer = await rig.fetch('/v1/programs/qa', { headers: { 'x-timeout-ms': '150' } });
    expect(await answer.json()).toMatchObject({ status: 504, reason: 'DEADLINE_EXCEEDED' });
    expect(rig.seen[0]!.ctx.deadlineMs).toBeLessThan(startMs + 1000);
    for (const bad of ['0', '-1', 'x', '1.5', '99999999999', '']) {
      expect((await rig.fetch('/v1/programs/qa', { headers: { 'x-timeout-ms': bad } })).status).toBe(400);
    }
  });

  test('cancels the owner when the caller goes away', async () => {
    let reason = '';
    rig.answer(
      'GetSignature',
      (_request, ctx) =>
        new Promise((_resolve, reject) => {
          ctx.signal.addEventListener('abort', () => {
            reason = (ctx.signal.reason as AppError).reason;
            reject(ctx.signal.reason);
          });
        }),
    );
    const controller = new AbortController();
    const answer = rig.fetch('/v1/signatures/s', { signal: controller.signal }).catch(() => {});
    await eventually(() => expect(rig.seen).toHaveLength(1));
    controller.abort();
    await answer;
    await eventually(() => expect(reason).toBe('CANCELLED'));
  });

  test('carries one trace through: the caller’s, the server span, the owner', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const answer = await rig.fetch(
      '/v1/programs/qa:reset',
      post('{}', { traceparent: `00-${traceId}-b7ad6b7169203331-01` }),
    );
    const [, answered, span] = answer.headers.get('traceparent')!.split('-');
    const [, passed, parent] = rig.seen[0]!.ctx.header('traceparent')!.split('-');
    expect([answered, passed]).toEqual([traceId, traceId]);
    expect(new Set(['b7ad6b7169203331', span, parent]).size).toBe(3);
  });

  test('never lets a caller speak for another: inner headers stay outside', async () => {
    await rig.fetch('/v1/me', {
      key: rigKeys.viewer,
      headers: {
        'signet-principal': 'WyJrIiwibiIsImFkbWluIl0',
        'x-signet-principal': 'x',
        'grpc-timeout': '1n',
        te: 'x',
      },
    });
    expect(rig.seen[0]!.ctx.principal).toEqual({ keyId: 'key-viewer', name: 'viewer', role: 'viewer' });
  });

  test('answers HEAD and OPTIONS, and 405 with Allow for what a path does not take', async () => {
    rig.answer('GetProgram', () => sampleProgram());
    const head = await rig.fetch('/v1/programs/qa', { method: 'HEAD' });
    expect([head.status, head.headers.get('etag'), await head.text()]).toEqual([200, '"e1"', '']);
    const options = await rig.fetch('/v1/programs/qa', { method: 'OPTIONS', key: null });
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, PATCH, DELETE, HEAD, OPTIONS']);
    const refused = await rig.fetch('/v1/programs/qa', { method: 'PUT', body: '{}' });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, PATCH, DELETE, HEAD, OPTIONS']);
    expect((await rig.fetch('/v1/executions/1:watch', { method: 'HEAD' })).status).toBe(405);
    expect((await rig.fetch('/nothing', { method: 'OPTIONS' })).status).toBe(404);
    expect((await rig.fetch('/livez', { method: 'POST', body: '{}' })).status).toBe(405);
  });

  test('tells machines without a key how it is', async () => {
    for (const path of ['/livez', '/readyz', '/metrics', '/openapi.json', '/docs']) {
      const answer = await rig.fetch(path, { key: null });
      expect([path, answer.status, (await answer.text()).length > 10]).toEqual([path, 200, true]);
    }
    const metrics = await (await rig.fetch('/metrics')).text();
    expect(metrics).toContain('http_server_request_duration');
    expect(metrics).toContain('http_route="/v1/programs/{program}"');
  });

  test('gives away neither its software nor its pages to frames', async () => {
    const answer = await rig.fetch('/livez');
    expect(answer.headers.get('server')).toBeNull();
    expect(answer.headers.get('x-powered-by')).toBeNull();
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  });
});
