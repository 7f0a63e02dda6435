import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionServiceService, ListExecutionShadowsRequest } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { ShadowStatus } from '@signet/proto/gen/signet/v1/shadow.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_INPUTS as FIRST_INPUTS, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const QA_INPUTS: JsonObject = { ...FIRST_INPUTS, context: [...FIRST_INPUTS.context] };
const missing = whyNoPython();
if (missing !== undefined) console.warn(`shadows are left out: ${missing}`);

const reply = (answer: string, confidence = '0.5') => ({
  kind: 'text' as const,
  text: `[[ ## answer ## ]]\n${answer}\n\n[[ ## confidence ## ]]\n${confidence}\n\n[[ ## completed ## ]]`,
});

describe.skipIf(missing !== undefined)('a shadow', { timeout: 60_000 }, () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let delayMs = 0;
  beforeAll(async () => {
    lm = await startScriptedLm({ behaviour: () => ({ kind: 'answer', delayMs }) });
    stack = await startStack({ engines: 'python', lm: lm.url });
  }, 90_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });
  beforeEach(() => {
    lm.reset();
    delayMs = 0;
  });

  const ready = (fields: JsonObject = {}) => readyProgram(stack, { adapterType: 'python_port', ...fields });
  const execute = (slug: unknown, executionOptions: JsonObject, inputs: JsonObject = QA_INPUTS) =>
    stack.http.post(`/v1/programs/${slug}:execute`, { inputs, executionOptions });
  const shadowOf = (id: unknown): Promise<JsonObject> =>
    eventually(async () => {
      const { shadow } = demand(await stack.http.get(`/v1/executions/${id}`), 200);
      expect(shadow).toBeTruthy();
      return shadow as JsonObject;
    }, 20_000);

  it.each([
    ['native', 'python'],
    ['python', 'native'],
  ])('runs what %s has answered on %s as well and finds it equal, byte by byte', async (engine, shadow) => {
    const { id, slug } = await ready({ configuration: { module: 'chain_of_thought' } });
    const { executionId } = demand(await execute(slug, { engine, shadow }), 200);
    const found = await shadowOf(executionId);
    expect(found).toMatchObject({
      ...{ executionId, programId: id, program: slug, version: 1, status: 'SHADOW_STATUS_EQUAL' },
      ...{ engine: `ENGINE_${shadow.toUpperCase()}`, primaryEngine: `ENGINE_${engine.toUpperCase()}` },
      ...{ differences: {}, reason: '', message: '' },
    });
    const { primary, shadow: second } = found.figures as Record<string, JsonObject>;
    expect(primary).toMatchObject({ lm_calls: 1 });
    expect(second?.tokens_in).toBe(primary?.tokens_in);
    expect(second?.tokens_out).toBe(primary?.tokens_out);
    expect(Number(second?.duration_ms)).toBeGreaterThan(0);
    expect(lm.requests).toHaveLength(2);
    expect(lm.requests[1]?.body).toEqual(lm.requests[0]?.body);
    const { metrics } = demand(await stack.http.get(`/v1/executions/${executionId}`), 200);
    expect(metrics).toMatchObject({ lm_calls: 1 });
  });

  it('follows a stream and a detached execution as well', async () => {
    const { slug } = await ready();
    const executionOptions = { engine: 'native', shadow: 'python' };
    const stream = await stack.sse(`/v1/programs/${slug}:stream`, { inputs: QA_INPUTS, executionOptions });
    const events = await Array.fromAsync(stream.events);
    const result = events.find(({ event }) => event === 'result')?.data as JsonObject;
    expect(await shadowOf(result.executionId)).toMatchObject({ status: 'SHADOW_STATUS_EQUAL', differences: {} });
    const body = { program: slug, inputs: QA_INPUTS, executionOptions };
    const { id } = demand(await stack.http.post('/v1/executions', body), 202);
    expect(await shadowOf(id)).toMatchObject({ status: 'SHADOW_STATUS_EQUAL', differences: {} });
  });

  it('tells which outputs differ, by value and by type, and leaves the answer as it is', async () => {
    const { slug } = await ready();
    lm.enqueue(reply('Ada', '0.5'), reply('Ada Lovelace', '0.25'));
    const { executionId, outputs } = demand(await execute(slug, { engine: 'native', shadow: 'python' }), 200);
    expect(outputs).toEqual({ answer: 'Ada', confidence: 0.5 });
    const { status, differences } = await shadowOf(executionId);
    expect([status, differences]).toEqual([
      'SHADOW_STATUS_DIFFERENT',
      {
        outputs: [
          { field: 'answer', primary: '"Ada"', shadow: '"Ada Lovelace"' },
          { field: 'confidence', primary: '0.5', shadow: '0.25' },
        ],
      },
    ]);
    lm.enqueue(reply('Ada'), { kind: 'text', text: 'nothing' }, { kind: 'text', text: 'nothing again' });
    const second = demand(await execute(slug, { engine: 'native', shadow: 'python' }), 200);
    expect(await shadowOf(second.executionId)).toMatchObject({
      status: 'SHADOW_STATUS_DIFFERENT',
      differences: { lm_calls: { primary: 1, shadow: 2 }, error: { primary: '', shadow: 'LM_REPLY_UNREADABLE' } },
    });
  });

  it('finds a plan that is not what DSPy writes, by the first message that differs', async () => {
    const { id, slug } = await ready({ configuration: { instructions: 'Answer as a historian.' } });
    await query(
      stack.databaseUrl,
      `update registry.program_preparations p set plan_json = replace(plan_json, 'historian', 'hystorian')
       from registry.program_versions v where v.id = p.version_id and v.program_id = $1`,
      [id],
    );
    await stack.kill('executor');
    await stack.restart('executor');
    const { executionId } = await eventually(
      async () => demand(await execute(slug, { shadow: 'native' }), 200),
      20_000,
    );
    const { status, differences } = await shadowOf(executionId);
    expect(status).toBe('SHADOW_STATUS_DIFFERENT');
    const { messages } = differences as Record<string, JsonObject>;
    expect(messages).toMatchObject({
      ...{ call: 1, message: 1 },
      primary: expect.stringContaining('historian'),
      shadow: expect.stringContaining('hystorian'),
    });
    expect(String(messages?.primary).length).toBeLessThan(2_100);
  });

  it('is refused where it makes no sense', async () => {
    const python = await ready();
    const mock = await readyProgram(stack);
    const native = await readyProgram(stack, { adapterType: 'native' });
    const tool = (method: string) => ({
      ...{ name: 'store', description: 'Stores.', url: 'http://127.0.0.1:1/store', method },
      args: { text: { type: 'string' } },
    });
    const agent = await createProgram(stack, {
      adapterType: 'python_port',
      configuration: { module: 'react', moduleConfig: { max_iters: 1, tools: [tool('POST')] } },
    });
    demand(await stack.http.post(`/v1/programs/${agent.slug}:initialize`), 200);
    const cases: [unknown, JsonObject, RegExp][] = [
      [python.slug, { shadow: 'mock' }, /must be python or native/],
      [mock.slug, { shadow: 'native' }, /must be python or native/],
      [python.slug, { engine: 'native', shadow: 'native' }, /another engine/],
      [native.slug, { shadow: 'python' }, /served by the native engine alone/],
      [agent.slug, { shadow: 'native' }, /would call the tool store twice/],
    ];
    for (const [slug, options, words] of cases) {
      const answer = await execute(slug, options);
      expect([answer.status, answer.body.reason, (answer.body.violations as JsonObject[])[0]]).toEqual([
        400,
        'INVALID_REQUEST',
        expect.objectContaining({
          field: 'executionOptions.shadow',
          description: expect.stringMatching(words),
        }),
      ]);
    }
    expect(lm.requests).toHaveLength(0);
  });

  it('never delays an answer: of too many at once the rest is left out, and says so', async () => {
    const { slug } = await ready();
    demand(await execute(slug, { engine: 'native' }), 200);
    delayMs = 400;
    const startMs = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 24 }, () => execute(slug, { engine: 'native', shadow: 'python' })),
    );
    expect(performance.now() - startMs).toBeLessThan(4_000);
    const ids = answers.map((answer) => String(demand(answer, 200).executionId));
    const shadows = await Promise.all(ids.map(shadowOf));
    const counted = Object.groupBy(shadows, ({ status }) => String(status));
    expect(Object.keys(counted).toSorted()).toEqual(['SHADOW_STATUS_EQUAL', 'SHADOW_STATUS_SKIPPED']);
    expect(counted.SHADOW_STATUS_EQUAL?.length).toBeGreaterThanOrEqual(8);
    expect(counted.SHADOW_STATUS_SKIPPED?.[0]).toMatchObject({ message: '8 shadows ran already' });
  });

  it('is listed with the counts of each program, page by page, and goes with its execution', async () => {
    const { id: programId, slug } = await ready();
    const ids: unknown[] = [];
    for (const second of [reply('a'), reply('b'), reply('a')]) {
      lm.enqueue(reply('a'), second);
      const { executionId } = demand(await execute(slug, { engine: 'native', shadow: 'python' }), 200);
      await shadowOf(executionId);
      ids.unshift(executionId);
    }
    const list = async (more = '') => {
      const filter = encodeURIComponent(`program = "${slug}"`);
      return demand(await stack.http.get(`/v1/executions:shadows?filter=${filter}${more}`), 200);
    };
    const first = await list('&page_size=2');
    const second = await list(`&page_size=2&page_token=${encodeURIComponent(String(first.nextPageToken))}`);
    const shown = [...(first.shadows as JsonObject[]), ...(second.shadows as JsonObject[])];
    expect(shown.map(({ executionId }) => executionId)).toEqual(ids);
    expect(second.nextPageToken).toBe('');
    expect(first.summaries).toEqual([
      expect.objectContaining({ programId, program: slug, equal: '2', different: '1', failed: '0', skipped: '0' }),
    ]);
    expect(second.summaries).toEqual([]);
    const request = ListExecutionShadowsRequest.fromPartial({
      filter: `program_id = "${programId}" AND status = different AND engine = python`,
    });
    const { shadows } = await stack.grpc.unary(ExecutionServiceService.listExecutionShadows, request);
    expect(shadows.map(({ executionId, status }) => [executionId, status])).toEqual([
      [ids[1], ShadowStatus.SHADOW_STATUS_DIFFERENT],
    ]);
    for (const wrong of ['filter=color%20%3D%20red', 'filter=status%20%3D', 'page_size=-1', 'page_token=no']) {
      expect((await stack.http.get(`/v1/executions:shadows?${wrong}`)).status).toBe(400);
    }
    demand(await stack.http.delete(`/v1/executions/${ids[1]}`), 204);
    expect((await list()).shadows).toHaveLength(2);
  });

  it('fails alone: an engine that is away costs the answer nothing', async () => {
    const { slug } = await ready();
    demand(await execute(slug, { engine: 'native' }), 200);
    await stack.kill('sidecar');
    const startMs = performance.now();
    const { executionId } = demand(await execute(slug, { engine: 'native', shadow: 'python' }), 200);
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(await shadowOf(executionId)).toMatchObject({
      status: 'SHADOW_STATUS_FAILED',
      reason: expect.stringMatching(/^ENGINE_UNAVAILABLE$|^WORKER_LOST$/),
    });
    await stack.restart('sidecar');
  });

  it('that a crash took leaves the execution as it was', async () => {
    const { slug } = await ready();
    await eventually(async () => demand(await execute(slug, { engine: 'python' }), 200), 30_000);
    lm.reset();
    lm.enqueue(reply('kept'), { kind: 'silence' });
    const { executionId } = demand(await execute(slug, { engine: 'native', shadow: 'python' }), 200);
    await eventually(() => expect(lm.calls).toBe(2), 10_000);
    await stack.kill('executor');
    await stack.restart('executor');
    const row = await eventually(
      async () => demand(await stack.http.get(`/v1/executions/${executionId}`), 200),
      20_000,
    );
    expect(row).toMatchObject({ status: 'EXECUTION_STATUS_COMPLETED', outputs: { answer: 'kept', confidence: 0.5 } });
    expect(row.shadow ?? undefined).toBeUndefined();
    demand(await eventually(async () => execute(slug, { engine: 'native' }), 20_000), 200);
  });
});
