import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { createProgram, demand } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { ROOT } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`modules on Python are left out: ${missing}`);

const spec = 'question: str -> answer: str';

describe.skipIf(missing !== undefined)('modules that run on Python', { timeout: 60_000 }, () => {
  let lm: ScriptedLm;
  let stack: Stack;
  let tools: Server;
  let toolUrl = '';
  const seen: { method: string | undefined; url: string | undefined; body: string }[] = [];

  beforeAll(async () => {
    tools = createServer(async (request, response) => {
      seen.push({ method: request.method, url: request.url, body: await textOf(request) });
      const isAway = request.url?.startsWith('/away') === true;
      response.writeHead(isAway ? 503 : 200, { 'content-type': 'application/json' });
      response.end(isAway ? '{"error":"closed"}' : '{"born": 1815, "id": 12345678901234567890}');
    });
    await new Promise<void>((resolve) => tools.listen(0, '127.0.0.1', resolve));
    toolUrl = `http://127.0.0.1:${(tools.address() as AddressInfo).port}`;
    lm = await startScriptedLm();
    stack = await startStack({
      engines: 'python',
      lm: lm.url,
      envOf: {
        executor: { SIGNET_TOOLS_ALLOW_PRIVATE: 'true' },
        sidecar: {
          SIGNET_PYTHON_PATH: join(ROOT, 'test', 'fixtures', 'python'),
          SIGNET_PYTHON_MODULES:
            'Moody=seed_programs:Moody@shared,TwoHops=seed_programs:TwoHops,Brief=seed_programs:short_is_better,not_a_name=seed_programs:short_is_better',
        },
      },
    });
    // The allow-list reaches the registry by the executor, which asks the sidecar for it.
    await eventually(async () => demand(await make('python:Moody'), 201), 60_000, 500);
  }, 120_000);
  beforeEach(() => {
    lm.reset();
    seen.length = 0;
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    tools?.close();
  }, 60_000);

  const make = (module: string, moduleConfig?: JsonObject): Promise<HttpAnswer> =>
    stack.http.post('/v1/programs', {
      name: `of ${module}`,
      signatureSpec: spec,
      adapterType: 'python_port',
      configuration: { module, ...(moduleConfig && { moduleConfig }) },
    });
  const ready = async (module: string, moduleConfig?: JsonObject): Promise<string> => {
    const slug = String(demand(await make(module, moduleConfig), 201).slug);
    const program = demand(await stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    expect([program.status, program.errorMessage]).toEqual(['PROGRAM_STATUS_READY', '']);
    return slug;
  };
  const run = (slug: string, question = 'Who?'): Promise<HttpAnswer> =>
    stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { question }, executionOptions: { engine: 'python' } });
  const say = (fields: Record<string, string>): void => {
    const text = Object.entries(fields).map(([name, value]) => `[[ ## ${name} ## ]]\n${value}\n\n`);
    lm.enqueue({ kind: 'text', text: `${text.join('')}[[ ## completed ## ]]` });
  };

  it('run a user’s own class with its settings, in plain synchronous Python', async () => {
    const slug = await ready('python:TwoHops', { kwargs: { hops: 3 } });
    const answer = demand(await run(slug), 200);
    expect(answer.outputs).toEqual({ answer: 'scripted answer' });
    expect(lm.calls).toBe(3);
    expect(JSON.stringify(lm.requests[1]?.body.messages)).toContain('scripted answer');
  });

  it('let an agent call tools over HTTP, digits kept, and tell it what went wrong', async () => {
    const tool = (name: string, path: string, method: string): JsonObject => ({
      ...{ name, method, description: 'Tells of people.', url: `${toolUrl}${path}` },
      args: { term: { type: 'string' } },
    });
    const config = { max_iters: 5, tools: [tool('lookup', '/people', 'GET'), tool('away', '/away', 'POST')] };
    const slug = await ready('react', config);
    say({ next_thought: 'look', next_tool_name: 'lookup', next_tool_args: '{"term": "Ada & co"}' });
    say({ next_thought: 'ask', next_tool_name: 'away', next_tool_args: '{"term": "Ada"}' });
    say({ next_thought: 'wrong', next_tool_name: 'lookup', next_tool_args: '{"term": 7}' });
    say({ next_thought: 'enough', next_tool_name: 'finish', next_tool_args: '{}' });
    say({ reasoning: 'it says so', answer: 'Lovelace' });
    const answer = demand(await run(slug), 200);
    expect(answer.outputs).toEqual({ reasoning: 'it says so', answer: 'Lovelace' });
    expect(seen).toEqual([
      { method: 'GET', url: '/people?term=Ada+%26+co', body: '' },
      { method: 'POST', url: '/away', body: '{"term":"Ada"}' },
    ]);
    const last = String(lm.requests[3]?.body.messages?.at(-1)?.content);
    expect(last).toContain('{"born": 1815, "id": 12345678901234567890}');
    expect(last).toContain('Execution error in away: HTTP 503: {"error":"closed"}');
    expect(last).toContain('Execution error in lookup: Arg term is invalid: it must be of type string.');
    expect(JSON.stringify(lm.requests)).not.toContain(toolUrl);
  });

  it('compare chains and keep the best of several', async () => {
    const compared = await ready('multi_chain_comparison', { M: 2 });
    expect(Object.keys(demand(await run(compared), 200).outputs as JsonObject)).toEqual(['rationale', 'answer']);
    expect(lm.calls).toBe(3);
    lm.reset();
    const best = await ready('best_of_n', { N: 3, threshold: 1, reward_fn: 'Brief' });
    say({ answer: 'far too long to be taken for an answer' });
    say({ answer: 'short' });
    expect(demand(await run(best), 200).outputs).toEqual({ answer: 'short' });
    expect(lm.calls).toBe(2);
  });

  it('fail by themselves: one that kills its process takes no other with it', async () => {
    const slug = await ready('python:Moody');
    lm.reset();
    const others = Array.from({ length: 12 }, (_, at) => {
      lm.enqueue({ kind: 'answer', delayMs: 400 });
      return run(slug, `well ${at}?`);
    });
    await eventually(() => expect(lm.calls).toBe(12));
    const poison = await run(slug, 'die');
    expect([poison.status, poison.body.reason]).toEqual([503, 'WORKER_LOST']);
    expect(Number(poison.headers['retry-after'])).toBeGreaterThan(0);
    for (const answer of await Promise.all(others)) demand(answer, 200);
    const raised = await run(slug, 'raise');
    expect([raised.status, raised.body.reason]).toEqual([502, 'MODULE_FAILED']);
  });

  it('are refused where they are not allowed, do not fit their settings, or need what is not there', async () => {
    for (const module of ['python:os', 'python:', 'os.system', 'python:Moody\n']) {
      const refused = await make(module);
      expect([refused.status, refused.body.reason]).toEqual([400, 'MODULE_INVALID']);
    }
    const bad = await make('react', { max_iters: 1000 });
    expect([bad.status, (bad.body.violations as JsonObject[])[0]?.field]).toEqual([
      400,
      'configuration.moduleConfig.max_iters',
    ]);
    const made = await createProgram(stack, {
      ...{ signatureSpec: spec, adapterType: 'python_port' },
      configuration: { module: 'python:TwoHops', moduleConfig: { kwargs: { colour: 'red' } } },
    });
    const program = demand(await stack.http.post(`/v1/programs/${made.slug}:initialize`), 200);
    expect(program.status).toBe('PROGRAM_STATUS_ERROR');
    expect(program.errorMessage).toContain('cannot be made');
  });
});

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
