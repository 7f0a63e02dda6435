import type { CallContext } from '@signet/kit/call-context.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { describe, expect, test } from 'vitest';
import { createGatewayApp } from './app.ts';
import { readConfig } from './config.ts';
import { sampleResult, startRig } from './test-support/owners.ts';

const environment = {
  SIGNET_INTERNAL_TOKEN: 'token',
  SIGNET_HTTP_ADDRESS: '127.0.0.1:0',
  SIGNET_GRPC_ADDRESS: '127.0.0.1:0',
  SIGNET_REGISTRY_ADDRESS: '127.0.0.1:1',
  SIGNET_EXECUTOR_ADDRESS: '127.0.0.1:1',
  SIGNET_LOG_LEVEL: 'silent',
};

describe('the gateway', () => {
  test('finishes what runs and takes nothing new when it stops', async () => {
    const rig = await startRig();
    let release = (): void => {};
    rig.answer('ExecuteProgram', async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return sampleResult('{"a":1}');
    });
    const running = rig.fetch('/v1/programs/qa:execute', { method: 'POST', body: '{"inputs":{}}' });
    await eventually(() => expect(rig.seen).toHaveLength(1));
    const closing = rig.close();
    await eventually(() => expect(fetch(`${rig.http}/livez`)).rejects.toThrow());
    release();
    expect((await running).status).toBe(200);
    await closing;
  });

  test('ends a stream with SHUTTING_DOWN when its grace is over', async () => {
    const rig = await startRig({ graceMs: 100 });
    rig.answer('StreamProgram', async function* (_request: never, ctx: CallContext) {
      yield { sequence: 1n, executionId: 'x', event: { $case: 'state', value: { status: 2 } } };
      await new Promise<void>((resolve) => {
        ctx.signal.addEventListener('abort', () => resolve());
      });
    });
    const answer = await rig.fetch('/v1/programs/qa:stream', { method: 'POST', body: '{"inputs":{}}' });
    const closing = rig.close();
    expect(await answer.text()).toMatch(/event: error\ndata: .*SHUTTING_DOWN/);
    await closing;
  });

  test('answers a call that outlives its grace with SHUTTING_DOWN', async () => {
    const rig = await startRig({ graceMs: 100 });
    rig.answer('ExecuteProgram', () => new Promise(() => {}));
    const running = rig.fetch('/v1/programs/qa:execute', { method: 'POST', body: '{"inputs":{}}' });
    await eventually(() => expect(rig.seen).toHaveLength(1));
    const closing = rig.close();
    const answer = await running;
    expect([answer.status, answer.headers.get('connection')]).toEqual([503, 'close']);
    expect(await answer.json()).toMatchObject({ reason: 'SHUTTING_DOWN' });
    await closing;
  });

  test('lives without its owners and says that it is not ready', async () => {
    const app = await createGatewayApp(readConfig(environment));
    try {
      expect((await fetch(`http://${app.listening.http}/livez`)).status).toBe(200);
      const ready = await fetch(`http://${app.listening.http}/readyz`);
      expect(ready.status).toBe(503);
      expect(await ready.json()).toMatchObject({ owners: { registry: 'not serving', executor: 'not serving' } });
      const call = await fetch(`http://${app.listening.http}/v1/me`, {
        headers: { authorization: 'Bearer sgn_0123456789' },
      });
      expect(call.status).toBe(503);
      expect(call.headers.get('retry-after')).toBe('1');
      expect(await call.json()).toMatchObject({ reason: 'SERVICE_UNAVAILABLE', metadata: { service: 'registry' } });
    } finally {
      await app.close();
    }
  });

  test('says which port is taken', async () => {
    const app = await createGatewayApp(readConfig(environment));
    const taken = { ...environment, SIGNET_HTTP_ADDRESS: app.listening.http! };
    await expect(createGatewayApp(readConfig(taken))).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await app.close();
  });
});
