import { eventually } from '@signet/kit/testing/eventually.ts';
import { ModuleServiceService } from '@signet/proto/gen/signet/v1/module_service.ts';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { useModules, violated } from '../support/modules.ts';
import { demand, QA_SPEC, uniqueName } from '../support/programs.ts';
import { startStack } from '../support/stack.ts';

const used = useModules();

describe('options of a module', () => {
  it.each([
    [{ implementation: 'python', pythonModule: '' }, 'pythonModule'],
    [{ implementation: 'native', pythonModule: '' }, 'nativeModule'],
    [{ implementation: 'native', pythonModule: 'dspy.Predict', nativeModule: 'native.predict' }, 'pythonModule'],
    [{ implementation: 'python', nativeModule: 'native.predict' }, 'nativeModule'],
    [{ implementation: 'hybrid', pythonModule: '', nativeModule: 'native.predict' }, 'pythonModule'],
    [{ implementation: 'hybrid' }, 'nativeModule'],
    [{ implementation: 'hybrid', nativeModule: 'native.chain_of_thought' }, 'nativeModule'],
    [{ pythonModule: 'os.system' }, 'pythonModule'],
    [{ pythonModule: 'dspy.Predict; import os' }, 'pythonModule'],
    [{ pythonModule: 'python:No.Such' }, 'pythonModule'],
    [{ configuration: { module: 'react' } }, 'configuration.module'],
  ])('EXT-01 refuses %j on the field %s', async (fields, field) => {
    const answer = await used.register(fields as JsonObject);
    expect([answer.status, violated(answer)[0]]).toEqual([400, field]);
  });

  it('EXT-01 takes python, native and hybrid modules with what each needs', async () => {
    expect(await used.registered({ pythonModule: 'dspy.ChainOfThought' })).toMatchObject({
      configuration: { module: 'chain_of_thought' },
    });
    const native = await used.registered({
      implementation: 'native',
      pythonModule: '',
      nativeModule: 'native.predict',
    });
    expect(native).toMatchObject({ configuration: { module: 'predict' }, nativeModule: 'native.predict' });
  });

  it('EXT-02 takes the three routing strategies and a cache_ttl above 0', async () => {
    for (const routingStrategy of ['native_first', 'python_first', 'performance_based']) {
      const made = await used.registered({ routingStrategy, cacheTtl: 60 });
      expect(made).toMatchObject({
        routingStrategy: `ROUTING_STRATEGY_${routingStrategy.toUpperCase()}`,
        cacheTtl: '60',
      });
    }
    for (const cacheTtl of [0, -1, 31_536_001]) {
      const answer = await used.register({ cacheTtl });
      expect([cacheTtl, answer.status, violated(answer)]).toEqual([cacheTtl, 400, ['cacheTtl']]);
    }
    expect((await used.register({ routingStrategy: 'fastest' })).status).toBe(400);
    const { id } = await used.registered();
    for (const cacheTtl of [0, -1]) {
      const answer = await used.stack.http.patch(`/v1/modules/${id}`, { cacheTtl });
      expect([cacheTtl, answer.status, violated(answer)]).toEqual([cacheTtl, 400, ['cacheTtl']]);
    }
    const changed = demand(await used.stack.http.patch(`/v1/modules/${id}`, { routingStrategy: 'python_first' }), 200);
    expect(changed).toMatchObject({ routingStrategy: 'ROUTING_STRATEGY_PYTHON_FIRST', cacheTtl: '300' });
  });

  it('EXT-05 takes optimization hints, each a range or choices', async () => {
    const optimizationHints: JsonObject[] = [
      { parameter: 'temperature', range: { min: 0, max: 1.5 }, strategy: 'bayesian' },
      { parameter: 'max_tokens', choices: { values: [128, 256, 'auto'] }, strategy: 'grid' },
    ];
    const { id } = await used.registered({ optimizationHints });
    const module = demand(await used.stack.http.get(`/v1/modules/${id}`), 200);
    expect(module.optimizationHints).toMatchObject(optimizationHints);
    const wrong: JsonObject[] = [
      { parameter: '', range: { min: 0, max: 1 } },
      { parameter: 'a', range: { min: 2, max: 1 } },
      { parameter: 'a' },
      { parameter: 'a', choices: { values: [] } },
    ];
    for (const hint of wrong) {
      expect([hint, (await used.register({ optimizationHints: [hint] })).status]).toEqual([hint, 400]);
    }
    const twice = await used.register({ optimizationHints: [optimizationHints[0]!, optimizationHints[0]!] });
    expect(violated(twice)).toEqual(['optimizationHints[1].parameter']);
  });

  it('C-17 keeps both vocabularies: `python_port` and `python` mean the same in filters', async () => {
    const { id } = await used.registered();
    const { modules } = demand(
      await used.stack.http.get(
        `/v1/modules?filter=${encodeURIComponent(`implementation = python_port AND id = "${id}"`)}`,
      ),
      200,
    );
    expect((modules as JsonObject[]).map((module) => module.id)).toEqual([id]);
  });

  it('C-19 keeps modules in the database: they survive a restart of the registry', async () => {
    const own = await startStack({ engines: 'mock' });
    try {
      const made = demand(
        await own.http.post('/v1/modules', {
          name: 'kept',
          type: 'predict',
          pythonModule: 'dspy.Predict',
          signatureSpec: QA_SPEC,
        }),
        201,
      );
      await own.kill('registry');
      await own.restart('registry');
      await eventually(async () => expect((await own.http.get('/v1/modules/kept')).body).toEqual(made), 15_000);
    } finally {
      await own.close();
    }
  }, 60_000);

  it.each([
    [{ name: '' }, 'name'],
    [{ name: '1x' }, 'name'],
    [{ name: 'a b' }, 'name'],
    [{ name: 'predict' }, 'name'],
    [{ type: '' }, 'type'],
    [{ description: 'x'.repeat(10_001) }, 'description'],
    [{ labels: { 'A B': 'x' } }, 'labels["A B"]'],
    [{ config: { text: '\ud800' } }, 'config.text'],
    [{ signature: 'Spec.A' }, 'signature'],
    [{ configuration: { lmOptions: { temperature: 3 } } }, 'configuration.lmOptions.temperature'],
    [{ configuration: { demos: [{ question: 3 }] } }, 'configuration.demos[0].question'],
  ])('refuses %j on the field %s', async (fields, field) => {
    const answer = await used.register(fields as JsonObject);
    expect(answer.status).toBe(400);
    expect(violated(answer)).toContain(field);
  });

  it('repeats by request id, and updates only what the mask names under its etag', async () => {
    const requestId = uniqueName('request');
    const name = uniqueName('module');
    const first = await used.registered({ name, requestId });
    expect(await used.registered({ name, requestId })).toEqual(first);
    const { id, etag } = first;
    expect((await used.stack.http.patch(`/v1/modules/${id}`, { description: 'x', etag: 'wrong' })).status).toBe(412);
    const changed = demand(
      await used.stack.http.patch(`/v1/modules/${id}`, { description: 'new', etag: etag ?? '' }),
      200,
    );
    expect(changed).toMatchObject({ description: 'new', pythonModule: 'dspy.Predict', name });
    expect((await used.stack.http.patch(`/v1/modules/${id}`, { state: 'ready' })).status).toBe(400);
    const other = demand(
      await used.stack.http.patch(`/v1/modules/${id}`, { pythonModule: 'dspy.ChainOfThought' }),
      200,
    );
    expect(other).toMatchObject({ configuration: { module: 'chain_of_thought' } });
    expect((await used.stack.http.patch(`/v1/modules/${id}`, { implementation: 'hybrid' })).status).toBe(400);
  });

  it('lists by filter, order, page and skip', async () => {
    const label = uniqueName('l').replace('-', '');
    for (let at = 0; at < 5; at++) await used.registered({ name: `${label}${at}`, labels: { [label]: 'x' } });
    const query = `filter=${encodeURIComponent(`labels.${label} = "x"`)}&orderBy=name`;
    const names: unknown[] = [];
    let token = '';
    do {
      const page = demand(await used.stack.http.get(`/v1/modules?${query}&pageSize=2&pageToken=${token}`), 200);
      names.push(...((page.modules ?? []) as JsonObject[]).map((module) => module.name));
      token = String(page.nextPageToken ?? '');
    } while (token !== '');
    expect(names).toEqual([0, 1, 2, 3, 4].map((at) => `${label}${at}`));
    const skipped = demand(await used.stack.http.get(`/v1/modules?${query}&skip=3`), 200);
    expect((skipped.modules as JsonObject[]).map((module) => module.name)).toEqual(names.slice(3));
    for (const bad of ['pageSize=-1', 'skip=-1', 'filter=nope%20%3D%201', 'orderBy=secret', 'pageToken=xx']) {
      expect([bad, (await used.stack.http.get(`/v1/modules?${bad}`)).status]).toEqual([bad, 400]);
    }
  });

  it('HDL-01 tells what its lists can do; tenants are off', async () => {
    const viaHttp = demand(await used.stack.http.get('/v1/modules:capabilities'), 200);
    const { capabilities } = await used.stack.grpc.unary(ModuleServiceService.getModuleCapabilities, {});
    expect(viaHttp.capabilities).toEqual(capabilities);
    const { multitenancy, ...others } = capabilities;
    expect(multitenancy).toBe(false);
    expect(Object.keys(others).toSorted()).toEqual(
      ['aggregate', 'calculate', 'create', 'destroy', 'filter', 'limit', 'offset', 'read', 'sort', 'update'].toSorted(),
    );
    expect(Object.values(others).every(Boolean)).toBe(true);
  });
});
