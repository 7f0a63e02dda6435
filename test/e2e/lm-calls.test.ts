import { createServer } from 'node:net';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { type Behaviour, type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`skipped: ${missing}`);

describe.skipIf(missing !== undefined)('calls of language models', { timeout: 60_000 }, () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let metricsAddress = '';
  let slug = '';
  let behaviour: (call: number) => Behaviour = () => ({ kind: 'answer' });

  beforeAll(async () => {
    lm = await startScriptedLm({ behaviour: (_seen, call) => behaviour(call) });
    metricsAddress = `127.0.0.1:${await freePort()}`;
    stack = await startStack({
      engines: 'python',
      lm: lm.url,
      env: { SIGNET_LM_ALLOW_PRIVATE: 'true' },
      envOf: { executor: { SIGNET_METRICS_ADDRESS: metricsAddress } },
    });
    slug = String((await readyProgram(stack, { adapterType: 'python_port' })).slug);
  }, 60_000);
  beforeEach(() => {
    behaviour = () => ({ kind: 'answer' });
    lm.reset();
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });

  const run = (options: JsonObject = {}) =>
    stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS, executionOptions: options });
  const read = async (id: unknown): Promise<JsonObject> => demand(await stack.http.get(`/v1/executions/${id}`), 200);
  const callsOf = (id: unknown) =>
    query(stack.databaseUrl, 'select * from executor.lm_calls where execution_id = $1 order by seq', [id]);
  const makeModel = async (fields: JsonObject): Promise<string> => {
    const body = { name: uniqueName('lm'), model: 'openai/gpt-x', apiBase: lm.url, ...fields };
    return String(demand(await stack.http.post('/v1/languageModels', body), 201).slug);
  };
  const metrics = async (): Promise<string> => (await fetch(`http://${metricsAddress}/metrics`)).text();

  it('are kept with an attached execution and in its figures, without what was said', async () => {
    const { executionId } = demand(await run(), 200);
    const { metrics: figures } = await read(executionId);
    expect(figures).toMatchObject({ lm_calls: 1, lm: 'default', model: 'openai/scripted' });
    expect(figures).not.toHaveProperty('cost');
    const [call, ...others] = await callsOf(executionId);
    expect(others).toEqual([]);
    expect(call).toMatchObject({
      seq: 1,
      run: 1,
      lm: 'default',
      model: 'openai/scripted',
      reply: null,
      reason: '',
      attempts: 1,
    });
    expect(Number(call?.tokens_in)).toBe((figures as JsonObject).tokens_in);
    expect(Number(call?.tokens_out)).toBeGreaterThan(0);
  });

  it('are paid by the prices of the model, also by an execution that fails', async () => {
    const prices = { inputPerMillion: 1, outputPerMillion: 2, currency: 'USD' };
    const priced = await makeModel({ prices });
    const costs = async (id: unknown): Promise<void> => {
      const figures = (await read(id)).metrics as Record<string, number>;
      const micros = figures.tokens_in! + 2 * figures.tokens_out!;
      expect(figures.cost).toBeCloseTo(micros / 1e6, 9);
      expect(micros).toBeGreaterThan(0);
      const calls = await callsOf(id);
      expect(calls.reduce((sum, call) => sum + Number(call.cost), 0)).toBeCloseTo(micros / 1e6, 9);
    };
    await costs(demand(await run({ lm: priced }), 200).executionId);
    behaviour = () => ({ kind: 'text', text: 'no fields here' });
    const failed = await run({ lm: priced });
    expect(failed.body.reason).toBe('LM_REPLY_UNREADABLE');
    await costs((failed.body.metadata as JsonObject).executionId);
  });

  it('go on to the next model when one is away, and the execution says which one answered', async () => {
    const away = `http://127.0.0.1:${await freePort()}/v1`;
    const second = await makeModel({ model: 'openai/second' });
    const first = await makeModel({ model: 'openai/first', apiBase: away, fallbacks: [second] });
    const { executionId } = demand(await run({ lm: first, maxRetries: 0 }), 200);
    expect((await read(executionId)).metrics).toMatchObject({ lm: second, model: 'openai/second' });
    expect(lm.requests.map(({ body }) => body.model)).toEqual(['second']);
    expect(await callsOf(executionId)).toMatchObject([{ lm: second, attempts: 2 }]);
    expect(await metrics()).toMatch(new RegExp(`signet_llm_fallback_count(?:_total)?\\{[^}]*lm="${first}"[^}]*\\} 1`));
  });

  it('leave an endpoint alone that failed five times in a row', async () => {
    const dead = await makeModel({});
    behaviour = () => ({ kind: 'status', status: 503 });
    for (let at = 0; at < 5; at++) expect((await run({ lm: dead, maxRetries: 0 })).body.reason).toBe('LM_UNAVAILABLE');
    const asked = lm.calls;
    const refused = await run({ lm: dead });
    expect([refused.status, refused.body.reason]).toEqual([503, 'LM_UNAVAILABLE']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(lm.calls).toBe(asked);
    expect(await metrics()).toMatch(new RegExp(`signet_llm_breaker_open\\{[^}]*lm="${dead}"[^}]*\\} 1`));
  });

  it('beyond the limits of a model are refused with the time to come back', async () => {
    const limited = await makeModel({ limits: { requestsPerMinute: 1 } });
    demand(await run({ lm: limited }), 200);
    const refused = await run({ lm: limited });
    expect([refused.status, refused.body.reason]).toEqual([429, 'LM_RATE_LIMITED']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(30);
  });

  it('TEL-02 are counted by provider: requests, durations, tokens and errors', async () => {
    demand(await run(), 200);
    const text = await metrics();
    for (const name of ['request_count', 'request_duration', 'request_tokens', 'error_count']) {
      expect(text).toMatch(new RegExp(`^signet_llm_${name}\\w*\\{[^}]*provider="openai"`, 'm'));
    }
    expect(text).toMatch(/signet_llm_request_tokens\w*\{[^}]*type="prompt"/);
    expect(text).toMatch(/signet_llm_request_tokens\w*\{[^}]*type="completion"/);
  });

  it('of a detached execution are not made again after its executor died', async () => {
    // The first reply cannot be read as a chat reply, so DSPy asks a second time in another form; that one hangs.
    behaviour = (call) =>
      call === 1 ? { kind: 'text', text: 'unreadable' } : call === 2 ? { kind: 'silence' } : { kind: 'answer' };
    const made = await stack.http.post('/v1/executions', { program: slug, inputs: QA_INPUTS });
    const { id } = demand(made, 202);
    await eventually(() => expect(lm.calls).toBe(2), 15_000);
    expect(await callsOf(id)).toMatchObject([{ seq: 1, run: 1, reply: 'unreadable' }]);
    await stack.kill('executor');
    await stack.restart('executor');
    await eventually(async () => expect((await read(id)).status).toBe('EXECUTION_STATUS_COMPLETED'), 30_000);
    expect(lm.calls).toBe(3);
    const calls = await callsOf(id);
    expect(calls.map(({ seq, run: attempt }) => [seq, attempt])).toEqual([
      [1, 1],
      [2, 2],
    ]);
    demand(await stack.http.delete(`/v1/executions/${id}`), 204);
    expect(await callsOf(id)).toEqual([]);
  });

  it('leave no credential in what is kept', async () => {
    const rows = await query(stack.databaseUrl, 'select to_jsonb(c)::text as text from executor.lm_calls c');
    expect(rows.length).toBeGreaterThan(0);
    expect(JSON.stringify(rows)).not.toContain('sk-scripted');
    expect(stack.logs()).not.toContain('sk-scripted');
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
