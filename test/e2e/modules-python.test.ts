import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS, QA_SPEC, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type Behaviour, type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { ROOT } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`modules on Python are left out: ${missing}`);

const ALLOWED = {
  SIGNET_PYTHON_PATH: join(ROOT, 'test', 'fixtures', 'python'),
  SIGNET_PYTHON_MODULES:
    'Shop.OneAnswer=seed_signatures:OneAnswer,Shop.TwoHops=seed_programs:TwoHops,Shop.Short=seed_programs:short_is_better',
};

// A second equal call would be answered out of the result cache.
const ASKED = { inputs: QA_INPUTS, executionOptions: { cache: false } };

describe.skipIf(missing !== undefined)('modules on real DSPy', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let behaviour: Behaviour = { kind: 'answer' };

  beforeAll(async () => {
    lm = await startScriptedLm({ behaviour: () => behaviour });
    stack = await startStack({ engines: 'python', lm: lm.url, envOf: { sidecar: ALLOWED } });
  }, 60_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });

  const register = (fields: JsonObject = {}): Promise<HttpAnswer> =>
    stack.http.post('/v1/modules', {
      name: uniqueName('module'),
      type: 'predict',
      pythonModule: 'dspy.Predict',
      signatureSpec: QA_SPEC,
      ...fields,
    });
  const registered = async (fields: JsonObject = {}): Promise<JsonObject> => demand(await register(fields), 201);
  const read = async (module: unknown, query = ''): Promise<JsonObject> =>
    demand(await stack.http.get(`/v1/modules/${module}${query}`), 200);
  const reaches = (module: unknown, state: string): Promise<JsonObject> =>
    eventually(async () => {
      const found = await read(module);
      expect([found.state, found.errorMessage ?? '']).toEqual([`MODULE_STATE_${state}`, '']);
      return found;
    }, 30_000);

  it('MOD-04 prepares a module at its first execution and runs it on Python; many at once prepare it once', async () => {
    const { id, name } = await registered({ pythonModule: 'dspy.ChainOfThought' });
    const runs = await Promise.all(
      Array.from({ length: 8 }, () => stack.http.post(`/v1/modules/${name}:execute`, ASKED)),
    );
    expect(runs.map(({ status, text }) => (status === 200 ? 200 : text))).toEqual(runs.map(() => 200));
    expect(new Set(runs.map(({ body }) => body.programId)).size).toBe(1);
    expect(runs[0]?.body).toMatchObject({ engine: 'ENGINE_PYTHON' });
    expect(runs[0]?.body.outputs).toHaveProperty('reasoning');
    await reaches(id, 'READY');
  });

  it('C-7 runs one module many times at once, shows EXECUTING meanwhile and is not hurt by a failed one', async () => {
    const { id } = await registered();
    demand(await stack.http.post(`/v1/modules/${id}:execute`, ASKED), 200);
    behaviour = { kind: 'answer', delayMs: 4000 };
    try {
      const running = Array.from({ length: 3 }, () => stack.http.post(`/v1/modules/${id}:execute`, ASKED));
      await eventually(async () => expect((await read(id)).state).toBe('MODULE_STATE_EXECUTING'), 5_000);
      const listed = demand(
        await stack.http.get(`/v1/modules?filter=${encodeURIComponent(`state = executing AND id = "${id}"`)}`),
        200,
      );
      expect(listed.modules as JsonObject[]).toHaveLength(1);
      expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200, 200]);
    } finally {
      behaviour = { kind: 'answer' };
    }
    expect((await stack.http.post(`/v1/modules/${id}:execute`, { inputs: {} })).status).toBe(400);
    await reaches(id, 'READY');
  });

  it('EXT-01 runs an allow-listed class of the user, and refuses names that nobody listed', async () => {
    await eventually(async () => {
      const answer = await register({
        name: 'two_hops',
        pythonModule: 'python:Shop.TwoHops',
        signatureSpec: 'question: str -> answer: str',
        configuration: { moduleConfig: { kwargs: { hops: 2 } } },
      });
      expect(answer.status).toBe(201);
    }, 20_000);
    const run = await stack.http.post('/v1/modules/two_hops:execute', { inputs: { question: 'Who?' } });
    expect(demand(run, 200)).toMatchObject({ engine: 'ENGINE_PYTHON', status: 'EXECUTION_STATUS_COMPLETED' });
    const execution = demand(await stack.http.get(`/v1/executions/${run.body.executionId}`), 200);
    expect((execution.metrics as JsonObject).lm_calls).toBe(2);
    expect((await register({ pythonModule: 'python:Shop.Nobody' })).status).toBe(400);
  });

  it('HDL-02 HDL-03 registers a hybrid module on both sides, and routes as it says, without restart', async () => {
    const hybrid = { implementation: 'hybrid', nativeModule: 'native.predict', routingStrategy: 'native_first' };
    const { id } = await registered(hybrid);
    await reaches(id, 'READY');
    expect(demand(await stack.http.post(`/v1/modules/${id}:execute`, ASKED), 200).engine).toBe('ENGINE_NATIVE');
    demand(await stack.http.patch(`/v1/modules/${id}`, { routingStrategy: 'python_first' }), 200);
    await eventually(async () => {
      const run = demand(await stack.http.post(`/v1/modules/${id}:execute`, ASKED), 200);
      expect(run.engine).toBe('ENGINE_PYTHON');
    }, 5_000);
  }, 60_000);

  it('HDL-04 HDL-06 merges what the workers hold with the rows, each id once and the row first, in every order', async () => {
    const { id } = await registered({ name: uniqueName('merged') });
    const list = await eventually(async () => {
      const found = demand(await stack.http.get('/v1/modules?includeBackend=true&pageSize=1000'), 200);
      const held = (found.modules as JsonObject[]).find((module) => module.id === id);
      expect(held?.backend).toMatchObject({ held: true, registered: true });
      return found;
    });
    expect(list.backend).toMatchObject({ available: true, executors: 1 });
    expect(Number((list.backend as JsonObject).workers)).toBeGreaterThanOrEqual(2);
    expect((list.backend as JsonObject).partial ?? false).toBe(false);
    const modules = list.modules as JsonObject[];
    expect(new Set(modules.map((module) => module.id)).size).toBe(modules.length);
    // Two hops stand as a row already; signature classes and functions are no modules at all.
    expect(modules.filter((module) => module.pythonModule === 'python:Shop.TwoHops')).toHaveLength(1);
    expect(modules.map((module) => module.name)).not.toContain('Shop.OneAnswer');
    expect(modules.map((module) => module.name)).not.toContain('Shop.Short');
    const twoHops = await read('two_hops');
    demand(
      await stack.http.send('DELETE', '/v1/modules/two_hops', undefined).then((answer) => ({ ...answer, status: 200 })),
      200,
    );
    const guest = await eventually(async () => {
      const page = demand(
        await stack.http.get(`/v1/modules?includeBackend=true&filter=${encodeURIComponent('name = "Shop.TwoHops"')}`),
        200,
      );
      const [found] = page.modules as JsonObject[];
      expect(found).toMatchObject({ name: 'Shop.TwoHops', pythonModule: 'python:Shop.TwoHops' });
      return found as JsonObject;
    });
    expect((guest.backend as JsonObject).registered ?? false).toBe(false);
    expect(guest.id).not.toBe(twoHops.id);
    const paged: unknown[] = [];
    let token = '';
    do {
      const page = demand(
        await stack.http.get(`/v1/modules?includeBackend=true&orderBy=name&pageSize=2&pageToken=${token}`),
        200,
      );
      paged.push(...(page.modules as JsonObject[]).map((module) => module.name));
      token = String(page.nextPageToken ?? '');
    } while (token !== '');
    expect(paged).toContain('Shop.TwoHops');
    expect(paged).toEqual([...paged].toSorted());
  });

  it('HDL-04 answers the rows alone, flagged as partial, while Python is away', async () => {
    const { id } = await registered();
    await eventually(async () =>
      expect((await read(id, '?includeBackend=true')).backend).toMatchObject({ held: true }),
    );
    await stack.kill('sidecar');
    try {
      const list = await eventually(async () => {
        const found = demand(await stack.http.get(`/v1/modules?includeBackend=true&pageSize=1000`), 200);
        expect(found.backend).toMatchObject({ partial: true });
        return found;
      }, 20_000);
      expect((list.backend as JsonObject).reason).toBeTruthy();
      expect((list.modules as JsonObject[]).map((module) => module.id)).toContain(id);
      const alone = await read(id, '?includeBackend=true');
      expect((alone.backend as JsonObject).held ?? false).toBe(false);
      expect((alone.backend as JsonObject).error).toBeTruthy();
    } finally {
      await stack.restart('sidecar');
    }
    await eventually(async () => {
      const { backend } = demand(await stack.http.get('/v1/modules?includeBackend=true'), 200);
      expect((backend as JsonObject).partial ?? false).toBe(false);
    }, 30_000);
  }, 90_000);
});
