import { eventually } from '@signet/kit/testing/eventually.ts';
import { ModuleServiceService } from '@signet/proto/gen/signet/v1/module_service.ts';
import { ExecuteModuleRequest, RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_INPUTS, QA_SPEC, uniqueName } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const MOCK = { executionOptions: { engine: 'mock' } } as const;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

const register = (fields: JsonObject = {}): Promise<HttpAnswer> =>
  stack.http.post('/v1/modules', {
    name: uniqueName('module'),
    type: 'predict',
    pythonModule: 'dspy.Predict',
    signatureSpec: QA_SPEC,
    ...fields,
  });

const registered = async (fields: JsonObject = {}): Promise<JsonObject> => demand(await register(fields), 201);

const fire = (module: unknown, event: string, more: JsonObject = {}): Promise<HttpAnswer> =>
  stack.http.post(`/v1/modules/${module}:fire`, { event, ...more });

const violated = (answer: HttpAnswer): string[] =>
  ((answer.body.violations ?? []) as JsonObject[]).map(({ field }) => String(field));

describe('modules', () => {
  it('MOD-01 carries its fields with their defaults', async () => {
    const module = await registered({ description: 'Answers questions.', labels: { team: 'search' } });
    expect(module).toMatchObject({
      type: 'MODULE_TYPE_PREDICT',
      implementation: 'MODULE_IMPLEMENTATION_PYTHON',
      state: 'MODULE_STATE_UNINITIALIZED',
      pythonModule: 'dspy.Predict',
      routingStrategy: 'ROUTING_STRATEGY_PERFORMANCE_BASED',
      cacheTtl: '300',
      description: 'Answers questions.',
      labels: { team: 'search' },
    });
    expect(module.config ?? {}).toEqual({});
    expect(module.performanceMetrics ?? {}).toEqual({});
    expect(module.id).toMatch(UUID_V7);
    expect(module.signatureModule).toMatch(/^Spec\.S/);
    const signature = demand(await stack.http.get(`/v1/signatures/${module.signatureId}`), 200);
    expect(signature.module).toBe(module.signatureModule);
    const bare = await registered({ signatureSpec: '', type: 'retrieve', config: { retriever: 'colbert_v2' } });
    expect(bare).toMatchObject({ type: 'MODULE_TYPE_RETRIEVE', config: { retriever: 'colbert_v2' } });
    expect(bare.signatureId ?? '').toBe('');
  });

  it('MOD-02 registers from a specification map; executors run it at once, without restart', async () => {
    const signature = (await stack.http.post('/v1/signatures:parse', { spec: QA_SPEC })).body;
    const name = uniqueName('rag_qa').replace('-', '_');
    const body = {
      name,
      type: 'predict',
      signature: signature.id ?? '',
      implementation: 'hybrid',
      pythonModule: 'dspy.Predict',
      nativeModule: 'native.predict',
      config: { retriever: 'colbert_v2', generator: 'gpt4' },
    };
    const answer = await stack.http.post('/v1/modules', body);
    expect(answer.status).toBe(201);
    expect(answer.headers.location).toBe(`/v1/modules/${answer.body.id}`);
    expect(answer.body).toMatchObject({ implementation: 'MODULE_IMPLEMENTATION_HYBRID', config: body.config });
    const run = demand(await stack.http.post(`/v1/modules/${name}:execute`, { inputs: QA_INPUTS, ...MOCK }), 200);
    expect(run.engine).toBe('ENGINE_MOCK');
    const taken = await register({ name });
    expect([taken.status, taken.body.reason]).toEqual([409, 'NAME_TAKEN']);
  });

  it('MOD-03 merges metrics key by key; of 50 at once none is lost', async () => {
    const { id } = await registered();
    await Promise.all(
      Array.from({ length: 50 }, async (_, at) =>
        demand(await stack.http.patch(`/v1/modules/${id}/metrics`, { metrics: { [`run_${at}`]: at, last: at } }), 200),
      ),
    );
    const { performanceMetrics } = demand(await stack.http.get(`/v1/modules/${id}`), 200);
    expect(Object.keys(performanceMetrics as JsonObject)).toHaveLength(51);
    expect(performanceMetrics).toMatchObject({ run_0: 0, run_49: 49 });
    for (const body of [{}, { metrics: 3 }, { metrics: { bad: 'x\u0000' } }]) {
      expect((await stack.http.patch(`/v1/modules/${id}/metrics`, body)).status).toBe(400);
    }
    const huge = await stack.http.patch(`/v1/modules/${id}/metrics`, { metrics: { text: 'x'.repeat(70_000) } });
    expect([huge.status, violated(huge)]).toEqual([400, ['metrics']]);
    expect((await stack.http.patch('/v1/modules/nobody/metrics', { metrics: { a: 1 } })).status).toBe(404);
  });

  it('MOD-04 executes by id and by name; its executions name it and are found and summed up by it', async () => {
    const { id, name } = await registered({ pythonModule: 'dspy.ChainOfThought' });
    const body = { inputs: QA_INPUTS, ...MOCK, labels: { from: 'test' } };
    const byId = demand(await stack.http.post(`/v1/modules/${id}:execute`, body), 200);
    const byName = await stack.grpc.unary(
      RuntimeServiceService.executeModule,
      ExecuteModuleRequest.fromPartial({
        module: String(name),
        inputs: { kind: { $case: 'json', value: Buffer.from(JSON.stringify(QA_INPUTS)) } },
        executionOptions: { engine: 3 },
      }),
    );
    expect(byName.programId).toBe(byId.programId);
    const execution = demand(await stack.http.get(`/v1/executions/${byId.executionId}`), 200);
    expect(execution).toMatchObject({ moduleId: id, module: name, status: 'EXECUTION_STATUS_COMPLETED' });
    const bad = await stack.http.post(`/v1/modules/${name}:execute`, { inputs: { question: 7 }, ...MOCK });
    expect([bad.status, bad.body.reason]).toEqual([400, 'INPUT_INVALID']);
    for (const path of [`/v1/modules/${name}/executions`, `/v1/executions?module=${id}`]) {
      const { executions } = demand(await stack.http.get(path), 200);
      expect((executions as JsonObject[]).map((row) => row.moduleId)).toEqual([id, id, id]);
    }
    const figures = demand(await stack.http.get(`/v1/executions:aggregate?module=${name}`), 200);
    expect(figures).toMatchObject({ totalExecutions: '3', completedExecutions: '2', failedExecutions: '1' });
    expect(figures.successRate).toBeCloseTo(2 / 3);
    const detached = await stack.http.post(`/v1/modules/${name}:execute`, body, {
      headers: { prefer: 'respond-async' },
    });
    expect(detached.status).toBe(202);
    await eventually(async () => {
      const { status } = demand(await stack.http.get(`/v1/executions/${detached.body.executionId}`), 200);
      expect(status).toBe('EXECUTION_STATUS_COMPLETED');
    });
    // The program behind a module is no program of its own.
    const { programs } = demand(await stack.http.get('/v1/programs?pageSize=1000'), 200);
    expect((programs as JsonObject[]).map((program) => program.id)).not.toContain(byId.programId);
  });

  it('MOD-05 is taken out of use, not deleted: the name is free, executions stay', async () => {
    const { id, name, etag } = await registered();
    const run = demand(await stack.http.post(`/v1/modules/${id}:execute`, { inputs: QA_INPUTS, ...MOCK }), 200);
    expect((await stack.http.delete(`/v1/modules/${id}?etag=wrong`)).status).toBe(412);
    expect((await stack.http.delete(`/v1/modules/${id}`, { headers: { 'if-match': String(etag) } })).status).toBe(204);
    expect((await stack.http.get(`/v1/modules/${id}`)).body.reason).toBe('MODULE_NOT_FOUND');
    const again = await stack.http.post(`/v1/modules/${id}:execute`, { inputs: QA_INPUTS, ...MOCK });
    expect([again.status, again.body.reason]).toEqual([404, 'MODULE_NOT_FOUND']);
    expect(demand(await stack.http.get(`/v1/executions/${run.executionId}`), 200).module).toBe(name);
    await registered({ name: name ?? '' });
  });

  it('MOD-08 is found by id and by name, one at most, else MODULE_NOT_FOUND', async () => {
    const { id, name } = await registered();
    expect(demand(await stack.http.get(`/v1/modules/${name}`), 200).id).toBe(id);
    const { modules } = demand(await stack.http.get(`/v1/modules?name=${name}`), 200);
    expect((modules as JsonObject[]).map((module) => module.id)).toEqual([id]);
    for (const nobody of ['nobody', '0', 'a%20b', 'x'.repeat(300), '00000000-0000-7000-8000-000000000000']) {
      const answer = await stack.http.get(`/v1/modules/${nobody}`);
      expect([nobody, answer.status, answer.body.reason]).toEqual([nobody, 404, 'MODULE_NOT_FOUND']);
    }
  });
});

describe('states of a module', () => {
  const events = ['initialize', 'mark_ready', 'start_execution', 'complete_execution', 'fail', 'reset'];
  const paths: Record<string, string[]> = {
    uninitialized: [],
    initializing: ['initialize'],
    ready: ['initialize', 'mark_ready'],
    executing: ['initialize', 'mark_ready', 'start_execution'],
    error: ['initialize', 'fail'],
  };
  const legal: Record<string, Record<string, string>> = {
    uninitialized: { initialize: 'initializing' },
    initializing: { mark_ready: 'ready', fail: 'error' },
    ready: { start_execution: 'executing' },
    executing: { complete_execution: 'ready', fail: 'error' },
    error: { reset: 'uninitialized' },
  };
  const cells = Object.keys(paths).flatMap((state) =>
    events.map((event) => ({ state, event, next: legal[state]?.[event] ?? 'refused' })),
  );

  it('MOD-06 begins uninitialized and has five states', async () => {
    const seen = await Promise.all(
      Object.entries(paths).map(async ([state, path]) => {
        const { id } = await registered();
        for (const event of path) demand(await fire(id, event), 200);
        const { state: shown } = demand(await stack.http.get(`/v1/modules/${id}`), 200);
        return [state, shown];
      }),
    );
    for (const [state, shown] of seen) expect(shown).toBe(`MODULE_STATE_${String(state).toUpperCase()}`);
  });

  it.each(cells)('MOD-07 $event in $state: $next', async ({ state, event, next }) => {
    const { id } = await registered();
    for (const step of paths[state] ?? []) demand(await fire(id, step), 200);
    const answer = await fire(id, event);
    if (next === 'refused') {
      expect(answer.status).toBe(409);
      expect(answer.body).toMatchObject({
        reason: 'STATE_FORBIDS',
        detail: `Cannot ${event} module in state ${state}`,
      });
      const { state: after } = demand(await stack.http.get(`/v1/modules/${id}`), 200);
      expect(after).toBe(`MODULE_STATE_${state.toUpperCase()}`);
    } else {
      expect(demand(answer, 200).state).toBe(`MODULE_STATE_${next.toUpperCase()}`);
    }
  });

  it('counts executions that run at once where the caller says so, and is READY after the last', async () => {
    const { id } = await registered();
    for (const event of ['initialize', 'mark_ready', 'start_execution']) demand(await fire(id, event), 200);
    await Promise.all(
      Array.from({ length: 19 }, async () => demand(await fire(id, 'start_execution', { concurrent: true }), 200)),
    );
    expect(demand(await stack.http.get(`/v1/modules/${id}`), 200).inFlight).toBe(20);
    await Promise.all(Array.from({ length: 20 }, async () => demand(await fire(id, 'complete_execution'), 200)));
    const after = demand(await stack.http.get(`/v1/modules/${id}`), 200);
    expect(after.state).toBe('MODULE_STATE_READY');
    expect(after.inFlight ?? 0).toBe(0);
    expect((await fire(id, 'complete_execution')).status).toBe(409);
  });

  it('refuses unknown events, stale etags and executions of a module in ERROR', async () => {
    const { id, etag } = await registered();
    expect((await fire(id, 'explode')).status).toBe(400);
    expect(violated(await fire(id, ''))).toEqual(['event']);
    demand(await fire(id, 'initialize'), 200);
    expect((await fire(id, 'mark_ready', { etag: etag ?? '' })).status).toBe(412);
    demand(await fire(id, 'fail', { errorMessage: 'the backend was lost' }), 200);
    expect(demand(await stack.http.get(`/v1/modules/${id}`), 200).errorMessage).toBe('the backend was lost');
    await eventually(async () => {
      const refused = await stack.http.post(`/v1/modules/${id}:execute`, { inputs: QA_INPUTS });
      expect(refused.body).toMatchObject({
        reason: 'STATE_FORBIDS',
        metadata: { state: 'error', event: 'start_execution' },
      });
    });
    demand(await fire(id, 'reset'), 200);
  });
});

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
    const answer = await register(fields as JsonObject);
    expect([answer.status, violated(answer)[0]]).toEqual([400, field]);
  });

  it('EXT-01 takes python, native and hybrid modules with what each needs', async () => {
    expect(await registered({ pythonModule: 'dspy.ChainOfThought' })).toMatchObject({
      configuration: { module: 'chain_of_thought' },
    });
    const native = await registered({ implementation: 'native', pythonModule: '', nativeModule: 'native.predict' });
    expect(native).toMatchObject({ configuration: { module: 'predict' }, nativeModule: 'native.predict' });
  });

  it('EXT-02 takes the three routing strategies and a cache_ttl above 0', async () => {
    for (const routingStrategy of ['native_first', 'python_first', 'performance_based']) {
      const made = await registered({ routingStrategy, cacheTtl: 60 });
      expect(made).toMatchObject({
        routingStrategy: `ROUTING_STRATEGY_${routingStrategy.toUpperCase()}`,
        cacheTtl: '60',
      });
    }
    for (const cacheTtl of [0, -1, 31_536_001]) {
      const answer = await register({ cacheTtl });
      expect([cacheTtl, answer.status, violated(answer)]).toEqual([cacheTtl, 400, ['cacheTtl']]);
    }
    expect((await register({ routingStrategy: 'fastest' })).status).toBe(400);
    const { id } = await registered();
    for (const cacheTtl of [0, -1]) {
      const answer = await stack.http.patch(`/v1/modules/${id}`, { cacheTtl });
      expect([cacheTtl, answer.status, violated(answer)]).toEqual([cacheTtl, 400, ['cacheTtl']]);
    }
    const changed = demand(await stack.http.patch(`/v1/modules/${id}`, { routingStrategy: 'python_first' }), 200);
    expect(changed).toMatchObject({ routingStrategy: 'ROUTING_STRATEGY_PYTHON_FIRST', cacheTtl: '300' });
  });

  it('EXT-05 takes optimization hints, each a range or choices', async () => {
    const optimizationHints: JsonObject[] = [
      { parameter: 'temperature', range: { min: 0, max: 1.5 }, strategy: 'bayesian' },
      { parameter: 'max_tokens', choices: { values: [128, 256, 'auto'] }, strategy: 'grid' },
    ];
    const { id } = await registered({ optimizationHints });
    const module = demand(await stack.http.get(`/v1/modules/${id}`), 200);
    expect(module.optimizationHints).toMatchObject(optimizationHints);
    const wrong: JsonObject[] = [
      { parameter: '', range: { min: 0, max: 1 } },
      { parameter: 'a', range: { min: 2, max: 1 } },
      { parameter: 'a' },
      { parameter: 'a', choices: { values: [] } },
    ];
    for (const hint of wrong) {
      expect([hint, (await register({ optimizationHints: [hint] })).status]).toEqual([hint, 400]);
    }
    const twice = await register({ optimizationHints: [optimizationHints[0]!, optimizationHints[0]!] });
    expect(violated(twice)).toEqual(['optimizationHints[1].parameter']);
  });

  it('C-17 keeps both vocabularies: `python_port` and `python` mean the same in filters', async () => {
    const { id } = await registered();
    const { modules } = demand(
      await stack.http.get(`/v1/modules?filter=${encodeURIComponent(`implementation = python_port AND id = "${id}"`)}`),
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
    const answer = await register(fields as JsonObject);
    expect(answer.status).toBe(400);
    expect(violated(answer)).toContain(field);
  });

  it('repeats by request id, and updates only what the mask names under its etag', async () => {
    const requestId = uniqueName('request');
    const name = uniqueName('module');
    const first = await registered({ name, requestId });
    expect(await registered({ name, requestId })).toEqual(first);
    const { id, etag } = first;
    expect((await stack.http.patch(`/v1/modules/${id}`, { description: 'x', etag: 'wrong' })).status).toBe(412);
    const changed = demand(await stack.http.patch(`/v1/modules/${id}`, { description: 'new', etag: etag ?? '' }), 200);
    expect(changed).toMatchObject({ description: 'new', pythonModule: 'dspy.Predict', name });
    expect((await stack.http.patch(`/v1/modules/${id}`, { state: 'ready' })).status).toBe(400);
    const other = demand(await stack.http.patch(`/v1/modules/${id}`, { pythonModule: 'dspy.ChainOfThought' }), 200);
    expect(other).toMatchObject({ configuration: { module: 'chain_of_thought' } });
    expect((await stack.http.patch(`/v1/modules/${id}`, { implementation: 'hybrid' })).status).toBe(400);
  });

  it('lists by filter, order, page and skip', async () => {
    const label = uniqueName('l').replace('-', '');
    for (let at = 0; at < 5; at++) await registered({ name: `${label}${at}`, labels: { [label]: 'x' } });
    const query = `filter=${encodeURIComponent(`labels.${label} = "x"`)}&orderBy=name`;
    const names: unknown[] = [];
    let token = '';
    do {
      const page = demand(await stack.http.get(`/v1/modules?${query}&pageSize=2&pageToken=${token}`), 200);
      names.push(...((page.modules ?? []) as JsonObject[]).map((module) => module.name));
      token = String(page.nextPageToken ?? '');
    } while (token !== '');
    expect(names).toEqual([0, 1, 2, 3, 4].map((at) => `${label}${at}`));
    const skipped = demand(await stack.http.get(`/v1/modules?${query}&skip=3`), 200);
    expect((skipped.modules as JsonObject[]).map((module) => module.name)).toEqual(names.slice(3));
    for (const bad of ['pageSize=-1', 'skip=-1', 'filter=nope%20%3D%201', 'orderBy=secret', 'pageToken=xx']) {
      expect([bad, (await stack.http.get(`/v1/modules?${bad}`)).status]).toEqual([bad, 400]);
    }
  });

  it('HDL-01 tells what its lists can do; tenants are off', async () => {
    const viaHttp = demand(await stack.http.get('/v1/modules:capabilities'), 200);
    const { capabilities } = await stack.grpc.unary(ModuleServiceService.getModuleCapabilities, {});
    expect(viaHttp.capabilities).toEqual(capabilities);
    const { multitenancy, ...others } = capabilities;
    expect(multitenancy).toBe(false);
    expect(Object.keys(others).toSorted()).toEqual(
      ['aggregate', 'calculate', 'create', 'destroy', 'filter', 'limit', 'offset', 'read', 'sort', 'update'].toSorted(),
    );
    expect(Object.values(others).every(Boolean)).toBe(true);
  });
});

describe('programs and their modules', () => {
  const withModule = (configuration: JsonObject): Promise<HttpAnswer> =>
    stack.http.post('/v1/programs', {
      name: uniqueName('p'),
      adapterType: 'mock',
      signatureSpec: QA_SPEC,
      configuration,
    });

  it.each([
    {
      module: 'react',
      moduleConfig: {
        max_iters: 5,
        tools: [
          {
            name: 'search',
            description: 'Searches.',
            args: { q: { type: 'string' } },
            url: 'https://example.com/search',
            method: 'GET',
          },
        ],
      },
    },
    { module: 'multi_chain_comparison', moduleConfig: { M: 3, temperature: 0.7 } },
    { module: 'program_of_thought', moduleConfig: { max_iters: 2 } },
    { module: 'chain_of_thought' },
  ])('names $module with its configuration', async (configuration) => {
    const { id } = demand(await withModule(configuration as unknown as JsonObject), 201);
    const version = demand(await stack.http.get(`/v1/programs/${id}/versions/1`), 200);
    expect(version.configuration).toMatchObject(configuration);
  });

  it.each([
    [{ module: 'predict', moduleConfig: { max_iters: 1 } }, 'max_iters'],
    [{ module: 'react', moduleConfig: { max_iters: 0 } }, 'configuration.moduleConfig.max_iters'],
    [{ module: 'react', moduleConfig: { tools: [{ name: 'finish', url: 'https://a.example' }] } }, 'tools[0].name'],
    [{ module: 'react', moduleConfig: { tools: [{ name: 't', url: 'file:///etc/passwd' }] } }, 'tools[0].url'],
    [{ module: 'react', moduleConfig: { tools: [{ name: 't', url: 'https://u:p@a.example' }] } }, 'tools[0].url'],
    [
      { module: 'react', moduleConfig: { tools: [{ name: 't', url: 'https://a.example', method: 'TRACE' }] } },
      'method',
    ],
    [{ module: 'react', moduleConfig: { tools: 'rm -rf' } }, 'tools'],
    [{ module: 'multi_chain_comparison', moduleConfig: { M: 99 } }, '.M'],
    [{ module: 'best_of_n', moduleConfig: { N: 3 } }, 'threshold'],
    [{ module: 'best_of_n', moduleConfig: { N: 3, threshold: 1, reward_fn: 'os.system' } }, 'reward_fn'],
  ])('refuses %j', async (configuration, field) => {
    const answer = await withModule(configuration as JsonObject);
    expect(answer.status).toBe(400);
    expect(violated(answer).join(' ')).toContain(field);
  });

  it.each(['python:os.system', 'python:Not.Listed', 'os', '__import__', 'x'.repeat(500), 'NoSuchModule'])(
    'refuses the unknown module %j',
    async (module) => {
      const answer = await withModule({ module });
      expect([answer.status, answer.body.reason]).toEqual([400, 'MODULE_INVALID']);
    },
  );

  it('pins what a registered module stands for when a version is made', async () => {
    const module = await registered({ pythonModule: 'dspy.ChainOfThought' });
    const { slug } = await createProgram(stack, { configuration: { module: module.name ?? '' } });
    demand(await stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    const run = demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }), 200);
    const execution = demand(await stack.http.get(`/v1/executions/${run.executionId}`), 200);
    expect(execution).toMatchObject({ moduleId: module.id, module: module.name });
    expect((execution.trace as JsonObject[])[0]?.step).toBe('chain_of_thought');
  });
});
