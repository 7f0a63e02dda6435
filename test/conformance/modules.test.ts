import { JsonNumber, type JsonObject, jsonFromPlain } from '@signet/signature/json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineProgram } from '../../services/executor/engine/engine.ts';
import { whyNoPython } from '../support/python.ts';
import { anyValue, fieldText, oddText, plainText } from './arbitraries.ts';
import { type Lines, runInPython, runNatively } from './both-engines.ts';
import { type Sidecar, startSidecar } from './sidecar-client.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the modules are not compared: ${missing}`);
const RUNS = Number(process.env.SIGNET_DIFFERENTIAL_RUNS ?? 40);
const MS_PER_RUN = 500;
const settings: fc.Parameters<unknown> = {
  numRuns: RUNS,
  ...(process.env.SIGNET_DIFFERENTIAL_SEED && { seed: Number(process.env.SIGNET_DIFFERENTIAL_SEED) }),
};

const tools = jsonFromPlain([
  {
    name: 'search',
    description: 'Finds pages.\nSecond line.',
    args: { query: { type: 'string' }, k: { type: 'integer' } },
  },
  { name: 'add', description: '', args: {} },
]);

function program(module: string, spec: string, config: JsonObject, promptAdapter: 'chat' | 'json'): EngineProgram {
  return {
    ...{
      programId: 'p',
      slug: 'p',
      version: 1,
      ref: JSON.stringify([module, spec, [...config.keys()], promptAdapter]),
    },
    ...{ signature: parseSpec(spec), module, moduleConfig: config, promptAdapter },
    ...{ instructions: '', demosJson: [], lmOptions: new Map(), planJson: '', nativeFault: '' },
  };
}

function chat(fields: Readonly<Record<string, string>>): string {
  const sections = Object.entries(fields).map(([name, text]) => `[[ ## ${name} ## ]]\n${text}`);
  return `${sections.join('\n\n')}\n\n[[ ## completed ## ]]`;
}

function json(fields: Readonly<Record<string, string>>): string {
  return `{${Object.entries(fields)
    .map(([name, text]) => `${JSON.stringify(name)}: ${/^[[{]/.test(text) ? text : JSON.stringify(text)}`)
    .join(', ')}}`;
}

const written = fc.constantFrom(chat, json);
const toolArgs = fc.oneof(
  fc.constantFrom(
    '{}',
    '{"query": "x"}',
    '{"query": "x", "k": 1.0}',
    '{"answer": "done"}',
    '{"self": 1}',
    '{"a": NaN}',
  ),
  fc.constantFrom(
    "{'query': 'x', 'k': 2}",
    '{"query": "x",}',
    '{query: x}',
    '[]',
    'none',
    "{'a': (1, 2)}",
    "{'a': {1, 2}}",
  ),
  fc.constantFrom(
    '{"a": "\\ud83d"}',
    '{"a": 1e400}',
    '{"a": 12345678901234567890123}',
    "{'a': b'x'}",
    '{"query": "«a»"}',
  ),
  fieldText,
  fc.dictionary(fc.constantFrom('query', 'k', 'x'), anyValue).map((made) => plainText(new Map(Object.entries(made)))),
);
const turn = fc
  .tuple(written, oddText, fc.constantFrom('search', 'add', 'search', 'finish', '"finish"', 'unknown'), toolArgs)
  .map(([write, next_thought, next_tool_name, next_tool_args]) =>
    write({ next_thought, next_tool_name, next_tool_args }),
  );
const answer = fc
  .tuple(written, oddText, fieldText, fieldText)
  .map(([write, reasoning, a, b]) => write({ reasoning, rationale: reasoning, a, b }));
const reply = fc.oneof(
  { weight: 5, arbitrary: turn },
  { weight: 2, arbitrary: answer },
  { weight: 1, arbitrary: oddText },
);
const observation = fc.oneof(
  fc.constantFrom<unknown>(
    'one',
    '',
    ' padded ',
    'Execution error in search: HTTP 500: no',
    'a\nb',
    null,
    true,
    3,
    1.5,
  ),
  fc.constantFrom<unknown>(['a', 'b\nc'], [], ['«x»'], [1, 2], [['a']], [{ k: 'v' }], [['«']], { k: [1, null] }, {}),
);
const inputs = fc.oneof(oddText, fc.constant('Who?')).map((text): JsonObject => new Map([['q', text]]));
const adapters = fc.constantFrom<'chat' | 'json'>('chat', 'chat', 'json');

describe.skipIf(missing !== undefined)('modules of several calls on both engines', () => {
  let sidecar: Sidecar;
  beforeAll(async () => {
    sidecar = await startSidecar();
  });
  afterAll(async () => await sidecar.close());

  async function expectEqual(made: EngineProgram, given: JsonObject, lines: Lines): Promise<'same' | 'declined'> {
    const native = await runNatively(sidecar, made, given, lines);
    if (native === 'declined') return 'declined';
    expect(native).toEqual(await runInPython(sidecar, made, given, lines));
    return 'same';
  }

  const react = (maxIters: number, promptAdapter: 'chat' | 'json' = 'chat'): EngineProgram => {
    const config = new Map([
      ['tools', tools],
      ['max_iters', new JsonNumber(String(maxIters))],
    ]);
    return program('react', 'q: str -> a: str, b: int', config, promptAdapter);
  };
  const chains = (spec: string, promptAdapter: 'chat' | 'json' = 'chat'): EngineProgram =>
    program('multi_chain_comparison', spec, new Map([['M', new JsonNumber('2')]]), promptAdapter);
  const question: JsonObject = new Map([['q', 'Who?']]);
  const search = chat({ next_thought: 't', next_tool_name: 'search', next_tool_args: '{"query": "x"}' });
  const extract = chat({ reasoning: 'r', a: 'x', b: '3' });

  it.each<[string, Lines]>([
    [
      'a tool, then finish',
      {
        replies: [search, chat({ next_thought: 't', next_tool_name: 'finish', next_tool_args: '{}' }), extract],
        observations: ['page'],
      },
    ],
    [
      'finish with arguments',
      {
        replies: [chat({ next_thought: 't', next_tool_name: 'finish', next_tool_args: '{"a": "x"}' }), extract],
        observations: [],
      },
    ],
    [
      'an argument named self',
      {
        replies: [
          chat({ next_thought: 't', next_tool_name: 'add', next_tool_args: '{"self": 1}' }),
          search,
          search,
          extract,
        ],
        observations: ['no'],
      },
    ],
    [
      'a tool that fails',
      { replies: [search, search, search, extract], observations: ['Execution error in search: HTTP 500: no'] },
    ],
    ['an observation that is a list of numbers', { replies: [search, search, extract], observations: [[1, 2]] }],
    [
      'an observation that is a list of lists',
      { replies: [search, search, search, extract], observations: [[['a'], { b: 'c' }]] },
    ],
    ['more turns than allowed', { replies: [search, search, search, extract], observations: [{ k: 1 }, ['a', 'b']] }],
    [
      'a turn that is read at the second attempt',
      {
        replies: [
          'junk',
          json({ next_thought: 't', next_tool_name: 'add', next_tool_args: '{}' }),
          search,
          search,
          extract,
        ],
        observations: ['x'],
      },
    ],
    ['no turn that can be read', { replies: ['junk'], observations: [] }],
    [
      'arguments that need repair',
      {
        replies: [
          chat({ next_thought: 't', next_tool_name: 'add', next_tool_args: "{'a': (1, 2), }" }),
          search,
          search,
          extract,
        ],
        observations: ['x'],
      },
    ],
    [
      'arguments that no JSON holds',
      {
        replies: [
          chat({ next_thought: 't', next_tool_name: 'add', next_tool_args: "{'a': b'x'}" }),
          search,
          search,
          extract,
        ],
        observations: ['x'],
      },
    ],
  ])('ReAct shows the same: %s', async (_name, lines) => {
    for (const adapter of ['chat', 'json'] as const) await expectEqual(react(3, adapter), question, lines);
    expect(await expectEqual(react(3), question, lines)).toBe('same');
  });

  it.each([
    'q: str -> a: str',
    'q: str -> a: int',
    'q: str -> a: float',
    'q: str -> a: list[str]',
    'q: str -> a: bool | None',
  ])('MultiChainComparison shows the same: %s', async (spec) => {
    const replies = ['True', '["a", "it\'s"]', '1', '1.0'].flatMap((a) => [
      chat({ reasoning: ' first \n second', a }),
      chat({ reasoning: '\u2028x\n', a: `${a}` }),
      chat({ rationale: 'because', a }),
    ]);
    expect(await expectEqual(chains(spec), question, { replies, observations: [] })).toBe('same');
  });

  it(
    'ReAct shows the same on whatever a model says',
    async () => {
      let same = 0;
      const property = fc.asyncProperty(
        inputs,
        fc.array(reply, { minLength: 1, maxLength: 7 }),
        fc.array(observation, { maxLength: 3 }),
        adapters,
        async (given, replies, observations, adapter) => {
          if ((await expectEqual(react(3, adapter), given, { replies, observations })) === 'same') same += 1;
        },
      );
      await fc.assert(property, settings);
      expect(same).toBeGreaterThan(RUNS / 2);
    },
    30_000 + RUNS * MS_PER_RUN,
  );

  it(
    'MultiChainComparison shows the same on whatever a model says',
    async () => {
      let same = 0;
      const specs = fc.constantFrom(
        'q -> a: str, b: int',
        'q -> a: int, b: str',
        'q -> a, b: list[str]',
        'q -> a, b: dict[str, int]',
      );
      const property = fc.asyncProperty(
        specs,
        inputs,
        fc.array(fc.oneof({ weight: 6, arbitrary: answer }, oddText), { minLength: 1, maxLength: 5 }),
        adapters,
        async (spec, given, replies, adapter) => {
          if ((await expectEqual(chains(spec, adapter), given, { replies, observations: [] })) === 'same') same += 1;
        },
      );
      await fc.assert(property, settings);
      expect(same).toBeGreaterThan(RUNS / 2);
    },
    30_000 + RUNS * MS_PER_RUN,
  );
});
