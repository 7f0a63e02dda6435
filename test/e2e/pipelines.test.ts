import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject, JsonValue } from '../support/http.ts';
import { demand, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { ROOT } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`pipelines on Python are left out: ${missing}`);

const ref = (path: string) => ({ $ref: path });
const done = 'EXECUTION_STATUS_COMPLETED';
type Tree = { execution: JsonObject; children?: Tree[] };

describe.skipIf(missing !== undefined)('pipelines', { timeout: 60_000 }, () => {
  let lm: ScriptedLm;
  let stack: Stack;
  let sql: pg.Client;
  const module = uniqueName('echo');

  beforeAll(async () => {
    lm = await startScriptedLm();
    const env = { SIGNET_FUNCTIONS: join(ROOT, 'test', 'fixtures', 'functions', 'functions.ts') };
    stack = await startStack({ engines: 'python', lm: lm.url, envOf: { registry: env, executor: env } });
    sql = new pg.Client(stack.databaseUrl);
    await sql.connect();
    const fields = { type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'x: str -> y: str' };
    demand(await stack.http.post('/v1/modules', { name: module, ...fields }), 201);
  }, 120_000);
  beforeEach(() => lm.reset());
  afterAll(async () => {
    await sql?.end();
    await stack?.close();
    await lm?.close();
  }, 60_000);

  const step = (id: string, x: JsonValue = ref('input.x'), more: JsonObject = {}): JsonObject => ({
    ...{ id, type: 'module', module, input: { x } },
    ...more,
  });
  const compose = async (steps: unknown[], result: unknown, more: JsonObject = {}): Promise<JsonObject> => {
    const pipelineSpec = { inputs: 'x: str', steps, return: result };
    const body = { name: uniqueName('pipeline'), modules: [module], pipelineSpec, ...more };
    return demand(await stack.http.post('/v1/programs:compose', body), 201);
  };
  const ready = async (...given: Parameters<typeof compose>): Promise<string> => {
    const { slug } = await compose(...given);
    const program = demand(await stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    expect(program).toMatchObject({ status: 'PROGRAM_STATUS_READY' });
    return String(slug);
  };
  const run = (program: string, more: JsonObject = {}, verb = 'run') => {
    const { executionOptions, ...rest } = more;
    const options = { cache: false, ...(executionOptions as JsonObject | undefined) };
    const body = { inputs: { x: 'hello' }, executionOptions: options, ...rest };
    return stack.http.post(`/v1/programs/${program}:${verb}`, body);
  };
  const tree = async (execution: unknown): Promise<Tree> =>
    demand(await stack.http.get(`/v1/executions/${execution}:tree`), 200) as Tree;
  const stepsOf = (found: Tree) => (found.children ?? []).map(({ execution }) => [execution.step, execution.status]);

  it('PRG-21 PRG-22 PIP-01 EXE-10 runs composed modules step by step and keeps the run and each step', async () => {
    const program = await ready([step('one'), step('two', ref('steps.one.y'))], { answer: ref('steps.two.y') });
    const result = demand(await run(program), 200);
    expect(result).toMatchObject({ status: done, outputs: { answer: expect.any(String) } });
    const found = await tree(result.executionId);
    expect(found.execution).toMatchObject({ program, status: done, inputs: { x: 'hello' }, outputs: result.outputs });
    expect(found.execution.metrics).toMatchObject({ lm_calls: 2, steps: 2, tokens_in: expect.any(Number) });
    expect(stepsOf(found)).toEqual([
      ['one', done],
      ['two', done],
    ]);
    for (const { execution } of found.children!) {
      expect(execution).toMatchObject({
        parentExecutionId: result.executionId,
        module,
        traceId: found.execution.traceId,
      });
    }
    const sums = found.children!.map(({ execution }) => (execution.metrics as { tokens_in: number }).tokens_in);
    expect((found.execution.metrics as JsonObject).tokens_in).toBe(sums.reduce((a, b) => a + b));
    const bad = await run(program, { inputs: { y: 'hello' } });
    expect([bad.status, bad.body.reason]).toEqual([400, 'INPUT_INVALID']);
    expect((await stack.http.get('/v1/executions/00000000-0000-7000-8000-000000000000:tree')).status).toBe(404);
  });

  it('C-4 leaves one row a run and one a step, however it is called', async () => {
    const program = await ready([step('one')], ref('steps.one'));
    demand(await run(program, {}, 'execute'), 200);
    const created = demand(await stack.http.post('/v1/executions', { program, inputs: { x: 'later' } }), 202);
    const ended = demand(await stack.http.get(`/v1/executions/${created.id}:wait?timeoutMs=20000`), 200);
    expect(ended).toMatchObject({ status: done, outputs: { y: expect.any(String) } });
    const stream = await stack.sse(`/v1/programs/${program}:stream`, { inputs: { x: 'streamed' } });
    const events = await Array.fromAsync(stream.events);
    expect(events.map(({ event }) => event)).toContain('step');
    expect(events.at(-1)!.event).toBe('result');
    const once = { requestId: uniqueName('once') };
    const [first, second] = await Promise.all([run(program, once), run(program, once)]);
    expect(demand(first, 200).executionId).toBe(demand(second, 200).executionId);
    const { rows } = await sql.query(
      `select count(*) filter (where parent_id is null)::int as runs, count(*) filter (where parent_id is not null)::int as steps
       from executor.executions e where slug = $1 or parent_id in (select id from executor.executions where slug = $1)`,
      [program],
    );
    expect(rows[0]).toEqual({ runs: 4, steps: 4 });
    const stats = demand(await stack.http.get(`/v1/programs/${program}/stats`), 200);
    expect(Number(stats.executionCount)).toBe(4);
  });

  it('C-16 refuses to run what is not ready, with the texts of programs', async () => {
    const { slug } = await compose([step('one')], ref('steps.one'));
    for (const verb of ['run', 'execute']) {
      const refused = await run(String(slug), {}, verb);
      expect([refused.status, refused.body.reason]).toEqual([409, 'PROGRAM_NOT_READY']);
      expect(refused.body.detail).toBe('Program not ready for execution (status: draft)');
    }
    expect((await run('nobody')).status).toBe(404);
  });

  it('C-16 runs while the program is being optimized', async () => {
    const program = await ready([step('one')], ref('steps.one'));
    await sql.query(`update registry.programs set status = 'optimizing' where slug = $1`, [program]);
    expect(demand(await run(program), 200).status).toBe(done);
  });

  it('C-17 a mock program asks no model in any step', async () => {
    const steps = [
      step('one'),
      { id: 'sign', type: 'signature', signature: 'x: str -> z: str', input: { x: ref('steps.one.y') } },
      { id: 'search', type: 'python', module: 'dspy.ColBERTv2', input: { query: ref('input.x'), k: 10 } },
    ];
    const result = { z: ref('steps.sign.z'), found: ref('steps.search') };
    const program = await ready(steps, result, { adapterType: 'mock' });
    const answer = demand(await run(program), 200);
    expect(answer).toMatchObject({ engine: 'ENGINE_MOCK', outputs: { z: expect.any(String), found: [] } });
    const found = await tree(answer.executionId);
    expect(found.children!.map(({ execution }) => execution.engine)).toEqual(Array(3).fill('ENGINE_MOCK'));
    expect(lm.calls).toBe(0);
  });

  it('PIP-02 C-23 parses a signature in a step, and hands it on', async () => {
    const parse = { resource: 'Signature', action: 'parse', input: { spec: 'query: str -> parsed_query: dict' } };
    const program = await ready([{ id: 'parse_input', type: 'action', ...parse }], {
      parsed: ref('steps.parse_input'),
      first: ref('steps.parse_input.outputs[0].name'),
    });
    expect(demand(await run(program), 200).outputs).toMatchObject({
      parsed: {
        inputs: [{ name: 'query', type: 'str' }],
        outputs: [{ name: 'parsed_query', type: expect.any(String) }],
      },
      first: 'parsed_query',
    });
  });

  it('PIP-05 merges what parallel steps found', async () => {
    const list = (id: string, ids: string[]) => {
      return { id, type: 'function', function: 'value', input: { items: ids.map((each) => ({ id: each })) } };
    };
    const group = { id: 'retrieval', type: 'group', steps: [list('a', ['1', '2', '3']), list('b', ['3', '4', '2'])] };
    const merge = { id: 'merged', type: 'function', function: 'merge_and_rank', input: ref('steps.retrieval') };
    const program = await ready([group, merge], { merged: ref('steps.merged') });
    const merged = (demand(await run(program), 200).outputs as { merged: { id: string }[] }).merged;
    expect(merged.map(({ id }) => id)).toEqual(['3', '2', '1', '4']);
  });

  it("calls the operator's own functions, whose failures are the step's", async () => {
    const call = (id: string, more: JsonObject) => ({ id, type: 'function', function: id, ...more });
    const count = call('count_words', { input: { text: ref('input.x') } });
    const program = await ready([count, call('always_fails', { input: {}, on_error: 'skip' })], {
      words: ref('steps.count_words.words'),
      failed: ref('steps.always_fails'),
    });
    const answer = demand(await run(program, { inputs: { x: 'one two three' } }), 200);
    expect(answer.outputs).toEqual({ words: 3, failed: null });
    const found = await tree(answer.executionId);
    const failed = found.children!.find(({ execution }) => execution.step === 'always_fails')!.execution;
    expect(failed.error).toMatchObject({ reason: 'MODULE_FAILED', message: expect.stringContaining('as promised') });
  });

  it('PIP-07 answers with the compensation, exactly, and says that it did', async () => {
    const text = "I apologize, but I'm unable to process this request at the moment.";
    const fallback = { id: 'fallback_response', type: 'function', function: 'value', input: { response: text } };
    const program = await ready(
      [step('generate_response', undefined, { compensate: fallback })],
      ref('steps.generate_response'),
    );
    lm.enqueue(...Array.from({ length: 5 }, () => ({ kind: 'status', status: 400, message: 'no' }) as const));
    const answer = demand(await run(program), 200);
    expect(answer).toMatchObject({ status: done, outputs: { response: text }, degraded: true });
    const found = await tree(answer.executionId);
    expect(found.execution.metrics).toMatchObject({ degraded: true });
    expect(stepsOf(found)).toEqual([
      ['generate_response', 'EXECUTION_STATUS_FAILED'],
      ['fallback_response', done],
    ]);
  });

  it('PIP-07 undoes with its own time when the deadline has passed, and tells the deadline', async () => {
    const program = await ready(
      [step('one', undefined, { undo: step('take_back', ref('steps.one.y')) }), step('two', ref('steps.one.y'))],
      ref('steps.two'),
    );
    lm.enqueue({ kind: 'answer' }, { kind: 'silence' });
    const late = await run(program, { executionOptions: { timeoutMs: '700' } });
    expect([late.status, late.body.reason]).toEqual([504, 'DEADLINE_EXCEEDED']);
    const execution = (late.body.metadata as JsonObject).executionId;
    const found = await eventually(async () => {
      const seen = await tree(execution);
      expect(seen.execution.status).toBe('EXECUTION_STATUS_FAILED');
      return seen;
    });
    expect(stepsOf(found)).toEqual([
      ['one', done],
      ['two', 'EXECUTION_STATUS_FAILED'],
      ['take_back', done],
    ]);
    expect(found.execution.error).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
  });

  it('a cancel reaches every step of a run', async () => {
    const program = await ready([step('one'), step('two', 'other')], ref('steps.one'));
    lm.enqueue({ kind: 'silence' }, { kind: 'silence' });
    const created = demand(await stack.http.post('/v1/executions', { program, inputs: { x: 'stop' } }), 202);
    await eventually(() => expect(lm.calls).toBe(2));
    const cancelled = demand(await stack.http.post(`/v1/executions/${created.id}:cancel`), 200);
    expect(cancelled.status).toBe('EXECUTION_STATUS_CANCELLED');
    const statuses = stepsOf(await tree(created.id)).map(([, status]) => status);
    expect(statuses).toEqual(['EXECUTION_STATUS_CANCELLED', 'EXECUTION_STATUS_CANCELLED']);
  });

  it('goes on behind the last kept step after kill -9, and pays no kept step again', { timeout: 90_000 }, async () => {
    const steps = ['one', 'two', 'three', 'four'].map((id, at, all) =>
      step(id, at === 0 ? undefined : ref(`steps.${all[at - 1]}.y`)),
    );
    const program = await ready(steps, ref('steps.four'));
    lm.enqueue({ kind: 'answer' }, { kind: 'answer' }, { kind: 'silence' });
    const lost = run(program).catch((error: unknown) => error);
    await eventually(() => expect(lm.calls).toBe(3));
    await eventually(async () => {
      const { rows } = await sql.query(`select 1 from executor.executions where step = 'two' and status = 'completed'`);
      expect(rows.length).toBeGreaterThan(0);
    });
    await stack.kill('executor');
    await lost;
    await stack.restart('executor');
    const { rows } = await sql.query('select id from executor.executions where slug = $1', [program]);
    expect(rows).toHaveLength(1);
    await eventually(async () => {
      expect((await tree(rows[0].id)).execution.status).toBe(done);
    }, 40_000);
    // One in flight at the kill: `three` is asked again, `one` and `two` are not.
    expect(lm.calls).toBe(5);
    const found = await tree(rows[0].id);
    expect(stepsOf(found)).toEqual([
      ['one', done],
      ['two', done],
      ['three', done],
      ['four', done],
    ]);
    expect(found.execution).toMatchObject({ attempts: 2, workerLosses: 1 });
  });
});
