import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { createProgram, demand } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`states of several predictors are left out: ${missing}`);

describe.skipIf(missing !== undefined)('saved programs with several predictors', { timeout: 60_000 }, () => {
  let lm: ScriptedLm;
  let stack: Stack;
  beforeAll(async () => {
    lm = await startScriptedLm();
    stack = await startStack({ engines: 'python', lm: lm.url });
  }, 90_000);
  beforeEach(() => lm.reset());
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });

  const say = (fields: Record<string, string>): void => {
    const text = Object.entries(fields).map(([name, value]) => `[[ ## ${name} ## ]]\n${value}\n\n`);
    lm.enqueue({ kind: 'text', text: `${text.join('')}[[ ## completed ## ]]` });
  };
  const predictor = (path: string, names: string[]): JsonObject => ({
    ...{ traces: [], train: [], lm: null },
    demos: [Object.fromEntries(names.map((name) => [name, `${path} shows ${name}`]))],
    signature: {
      instructions: `Do as ${path} does.`,
      fields: names.map((name) => ({ prefix: `${name}:`, description: `${name} of ${path}` })),
    },
  });
  const agentState = (): JsonObject => ({
    react: predictor('react', ['question', 'trajectory', 'next_thought', 'next_tool_name', 'next_tool_args']),
    'extract.predict': predictor('extract', ['question', 'trajectory', 'reasoning', 'answer']),
    metadata: { dependency_versions: { dspy: '3.4.1' } },
  });
  const make = (configuration: JsonObject): Promise<JsonObject> =>
    createProgram(stack, { adapterType: 'python_port', signatureSpec: 'question -> answer', configuration });
  const importInto = ({ slug }: JsonObject, body: JsonObject) =>
    stack.http.post(`/v1/programs/${slug}/versions:import`, body);

  it('ask each predictor’s own way on both engines, by the same requests, and come back equal', async () => {
    const program = await make({ module: 'react', moduleConfig: { max_iters: 2, tools: [] } });
    demand(await importInto(program, { state: agentState() }), 201);
    const exported = demand(await stack.http.get(`/v1/programs/${program.slug}/versions/2:export`), 200);
    expect(exported.state).toEqual(agentState());
    demand(await stack.http.post(`/v1/programs/${program.slug}:initialize`), 200);
    const asked: JsonObject[][] = [];
    for (const engine of ['python', 'native']) {
      lm.reset();
      say({ next_thought: 'enough', next_tool_name: 'finish', next_tool_args: '{}' });
      say({ reasoning: 'so', answer: 'Lovelace' });
      const body = { inputs: { question: 'Who?' }, executionOptions: { engine } };
      const answer = demand(await stack.http.post(`/v1/programs/${program.slug}:execute`, body), 200);
      expect(answer).toMatchObject({ engine: `ENGINE_${engine.toUpperCase()}`, outputs: { answer: 'Lovelace' } });
      asked.push(lm.requests.map((request) => request.body as JsonObject));
    }
    const [python, native] = asked as [JsonObject[], JsonObject[]];
    expect(native).toEqual(python);
    const [first, last] = native.map(({ messages }) => JSON.stringify(messages));
    expect(first).toContain('Do as react does.');
    expect(first).toContain('react shows next_thought');
    expect(first).not.toContain('extract shows');
    expect(last).toContain('Do as extract does.');
    expect(last).toContain('extract shows answer');
  });

  it('keep their states when what is around them changes', async () => {
    const configuration = { module: 'react', moduleConfig: { max_iters: 2, tools: [] } };
    const program = await make(configuration);
    demand(await importInto(program, { state: agentState() }), 201);
    const changed = { configuration: { ...configuration, lmOptions: { temperature: 0.5 } } };
    demand(await stack.http.patch(`/v1/programs/${program.slug}`, changed), 200);
    const exported = demand(await stack.http.get(`/v1/programs/${program.slug}/versions/3:export`), 200);
    expect(exported.state).toEqual(agentState());
    const other = { configuration: { ...configuration, instructions: 'Begin anew.' } };
    demand(await stack.http.patch(`/v1/programs/${program.slug}`, other), 200);
    expect((await stack.http.get(`/v1/programs/${program.slug}/versions/4:export`)).status).toBe(400);
  });

  it('are refused with the path of what does not fit, by the registry or by the workers', async () => {
    const program = await make({ module: 'react', moduleConfig: { max_iters: 2, tools: [] } });
    const { react, ...rest } = agentState();
    const cases: [JsonObject, string][] = [
      [rest, 'state.react'],
      [{ ...agentState(), judge: react as JsonObject }, 'state.judge'],
      [{ ...rest, react: 7 }, 'state.react'],
      [{ ...rest, react: { ...(react as JsonObject), demos: [1] } }, 'state.react.demos[0]'],
      [
        { ...rest, react: { ...(react as JsonObject), signature: { fields: [] } } },
        'state.react.signature.instructions',
      ],
      [{ ...rest, react: { ...(react as JsonObject), lm: { api_key: 'sk-12345678' } } }, 'state.react.lm.api_key'],
    ];
    for (const [state, path] of cases) {
      const { status, body } = await importInto(program, { state });
      expect([status, (body.violations as JsonObject[] | undefined)?.[0]?.field]).toEqual([400, path]);
    }
    const short = { ...agentState(), react: predictor('react', ['question']) };
    demand(await importInto(program, { state: short }), 201);
    const ended = demand(await stack.http.post(`/v1/programs/${program.slug}:initialize`), 200);
    expect(ended.status).toBe('PROGRAM_STATUS_ERROR');
    expect(ended.errorMessage).toContain('the state of `react` must describe its 5 fields');
  });
});
