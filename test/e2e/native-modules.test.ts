import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** What one engine was seen to do. */
type Seen = Readonly<Record<'status' | 'outputs' | 'reason' | 'detail', unknown>> & {
  readonly asked: readonly unknown[];
  readonly toolCalls: readonly string[];
};

const missing = whyNoPython();
if (missing !== undefined) console.warn(`modules on both engines are left out: ${missing}`);

describe.skipIf(missing !== undefined)('modules on the native engine', { timeout: 60_000 }, () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let tools: Server;
  let toolUrl = '';
  const toolCalls: string[] = [];
  beforeAll(async () => {
    tools = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        toolCalls.push(`${request.method} ${request.url} ${Buffer.concat(parts)}`);
        const isAway = request.url?.startsWith('/away') === true;
        response.writeHead(isAway ? 503 : 200, { 'content-type': 'application/json' });
        response.end(isAway ? '{"error":"closed"}' : '{"born": 1815.0, "id": 12345678901234567890, "é": ["\\u2028"]}');
      });
    });
    await new Promise<void>((resolve) => tools.listen(0, '127.0.0.1', resolve));
    toolUrl = `http://127.0.0.1:${(tools.address() as AddressInfo).port}`;
    lm = await startScriptedLm();
    const envOf = { executor: { SIGNET_TOOLS_ALLOW_PRIVATE: 'true' } };
    stack = await startStack({ engines: 'python', lm: lm.url, envOf });
  }, 90_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    tools?.close();
  });
  beforeEach(() => {
    lm.reset();
    toolCalls.length = 0;
  });

  const say = (fields: Record<string, string>): void => {
    const text = Object.entries(fields).map(([name, value]) => `[[ ## ${name} ## ]]\n${value}\n\n`);
    lm.enqueue({ kind: 'text', text: `${text.join('')}[[ ## completed ## ]]` });
  };
  /** Runs the same on both engines and gives what each was seen to do. */
  const onBoth = async (
    configuration: JsonObject,
    script: () => void,
    signatureSpec = 'question: str -> answer: str',
  ) => {
    const { slug } = await readyProgram(stack, { adapterType: 'python_port', signatureSpec, configuration });
    const seen: Seen[] = [];
    for (const engine of ['python', 'native']) {
      lm.reset();
      toolCalls.length = 0;
      script();
      const body = { inputs: { question: 'Who is «Ada»?' }, executionOptions: { engine } };
      const { status, body: answer } = await stack.http.post(`/v1/programs/${slug}:execute`, body);
      if (status === 200) expect(answer.engine).toBe(`ENGINE_${engine.toUpperCase()}`);
      seen.push({
        ...{ status, outputs: answer.outputs ?? null, reason: answer.reason ?? '', detail: answer.detail ?? '' },
        asked: lm.requests.map((request) => request.body),
        toolCalls: [...toolCalls],
      });
    }
    return seen as [Seen, Seen];
  };
  const tool = (name: string, path: string, method: string): JsonObject => ({
    ...{ name, method, description: 'Tells of people.', url: `${toolUrl}${path}` },
    args: { term: { type: 'string' }, many: { type: 'integer', default: 3 } },
  });
  const agent = (more: JsonObject = {}): JsonObject => ({
    module: 'react',
    moduleConfig: { max_iters: 5, tools: [tool('lookup', '/people', 'GET'), tool('away', '/away', 'POST')], ...more },
  });

  it('an agent asks, calls its tools and answers as on Python, byte by byte', async () => {
    const [python, native] = await onBoth(agent(), () => {
      say({ next_thought: 'look', next_tool_name: 'lookup', next_tool_args: '{"term": "Ada & co", "many": 2}' });
      say({ next_thought: 'ask', next_tool_name: 'away', next_tool_args: '{"term": "Ada"}' });
      say({ next_thought: 'wrong', next_tool_name: 'lookup', next_tool_args: '{"term": 7}' });
      say({ next_thought: 'enough', next_tool_name: 'finish', next_tool_args: '{}' });
      say({ reasoning: 'it says so', answer: 'Lovelace' });
    });
    expect(native).toEqual(python);
    expect(native).toMatchObject({ status: 200, outputs: { reasoning: 'it says so', answer: 'Lovelace' } });
    expect(native.asked).toHaveLength(5);
    expect(native.toolCalls).toEqual(['GET /people?term=Ada+%26+co&many=2 ', 'POST /away {"term":"Ada"}']);
  });

  it('an agent that never finishes, or names a tool that is not there, ends as on Python', async () => {
    const [python, native] = await onBoth(agent({ max_iters: 2 }), () => {
      for (let at = 0; at < 2; at += 1) {
        say({ next_thought: `more ${at}`, next_tool_name: 'lookup', next_tool_args: '{"term": "Ada"}' });
      }
      say({ reasoning: 'out of turns', answer: 'unknown' });
    });
    expect(native).toEqual(python);
    expect(native.asked).toHaveLength(3);
    const [theirs, ours] = await onBoth(agent({ max_iters: 2 }), () => {
      for (let at = 0; at < 4; at += 1) say({ next_thought: 'x', next_tool_name: 'nobody', next_tool_args: '{}' });
      say({ reasoning: 'none', answer: 'none' });
    });
    expect(ours).toEqual(theirs);
  });

  const refuseAsTooLong = (): void => {
    const error = { message: "This model's maximum context length is 8 tokens", code: 'context_length_exceeded' };
    lm.enqueue({ kind: 'status', status: 400, body: JSON.stringify({ error }) });
  };

  it('an agent whose prompt grows too long forgets its oldest turns, as on Python', async () => {
    const [python, native] = await onBoth(agent(), () => {
      say({ next_thought: 'first', next_tool_name: 'lookup', next_tool_args: '{"term": "Ada"}' });
      say({ next_thought: 'second', next_tool_name: 'lookup', next_tool_args: '{"term": "Byron"}' });
      refuseAsTooLong();
      say({ next_thought: 'enough', next_tool_name: 'finish', next_tool_args: '{}' });
      say({ reasoning: 'of the second', answer: 'Byron' });
    });
    expect(native).toEqual(python);
    expect(native).toMatchObject({ status: 200, outputs: { answer: 'Byron' } });
    const [long, short] = native.asked.slice(2, 4).map((body) => JSON.stringify(body));
    expect(long).toContain('thought_0');
    expect(short).not.toContain('thought_0');
    expect(short).toContain('thought_1');
  });

  it.each(['predict', 'react'])('a prompt that is too long at once is told as the model does (%s)', async (module) => {
    const configuration = module === 'react' ? agent() : { module };
    const [python, native] = await onBoth(configuration, () => {
      for (let at = 0; at < 8; at += 1) refuseAsTooLong();
    });
    expect(native).toEqual(python);
    expect(native).toMatchObject({ status: 502, reason: 'LM_ERROR' });
    expect(native.detail).toContain('The prompt is longer than the language model takes');
  });

  it.each([2, 3])('a comparison of %i chains asks and answers as on Python, byte by byte', async (M) => {
    const [python, native] = await onBoth({ module: 'multi_chain_comparison', moduleConfig: { M } }, () => {
      for (let at = 0; at < M; at += 1)
        say({ reasoning: `way ${at}\nwith two lines. And more`, answer: `answer ${at}` });
      say({ rationale: 'the second is right', answer: 'answer 1' });
    });
    expect(native).toEqual(python);
    expect(native).toMatchObject({ status: 200, outputs: { rationale: 'the second is right', answer: 'answer 1' } });
    expect(native.asked).toHaveLength(M + 1);
    expect(native.asked[0]).toMatchObject({ temperature: 0.7 });
  });

  it('a chain that cannot be read fails as on Python', async () => {
    const [python, native] = await onBoth({ module: 'multi_chain_comparison', moduleConfig: { M: 2 } }, () => {
      say({ reasoning: 'fine', answer: 'fine' });
      for (let at = 0; at < 2; at += 1) lm.enqueue({ kind: 'text', text: 'no sections' });
    });
    expect(native).toEqual(python);
    expect(native).toMatchObject({ status: 502, reason: 'LM_REPLY_UNREADABLE' });
  });
});
