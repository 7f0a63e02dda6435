import { JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { describe, expect, it } from 'vitest';
import { openPlan } from '../plan/open-plan.ts';
import { literal, planJson, planOf, predictorJson, type } from '../test-support/plans.ts';
import { createRun } from './run.ts';
import type { ModuleRun, RunSettings, Step } from './step.ts';

const str = type('str');
const settings: RunSettings = { adapter: 'chat', lm: { jsonSchema: false, jsonObject: true }, options: new Map() };
const plan = planOf({ a: str, b: type('int') });
const good = '[[ ## a ## ]]\nx\n[[ ## b ## ]]\n3';

const begin = (own: RunSettings = settings): ModuleRun => createRun(plan, own);
const inputs = new Map([['q', 'Q']]);

function expectLm(step: Step): Extract<Step, { kind: 'lm' }> {
  if (step.kind !== 'lm') throw new Error(`the run wants ${step.kind}`);
  return step;
}

describe('Predict', () => {
  it('asks once and gives the outputs', () => {
    const run = begin();
    expect(expectLm(run.start(inputs)).messages.at(-1)?.content).toContain('Q');
    expect(run.reply(good)).toEqual({
      kind: 'done',
      outputs: new Map<string, JsonValue>([
        ['a', 'x'],
        ['b', new JsonNumber('3')],
      ]),
    });
  });

  it('asks once more as JSON after a reply that Chat cannot read, and then no more', () => {
    const run = begin();
    run.start(inputs);
    const again = expectLm(run.reply('junk'));
    expect([again.adapter, again.options.get('response_format')]).toEqual(['json', new Map([['type', 'json_object']])]);
    expect(run.reply('junk')).toMatchObject({
      kind: 'failed',
      pythonType: 'AdapterParseError',
      reason: { kind: 'no_object' },
    });
  });

  it('asks in no other form once text was shown, or where that is turned off', () => {
    const shown = begin();
    shown.start(inputs);
    expect(shown.reply('junk', { streamed: true }).kind).toBe('failed');
    const off = begin({ ...settings, fallback: false });
    off.start(inputs);
    expect(off.reply('').kind).toBe('failed');
  });

  it('has a doubtful reply read elsewhere and goes on with the answer', () => {
    const run = begin();
    run.start(inputs);
    expect(run.reply('[[ ## a ## ]]\nx\n[[ ## b ## ]]\n(3, 4)')).toMatchObject({ kind: 'parse', adapter: 'chat' });
    const error = {
      kind: 'error',
      pythonType: 'AdapterParseError',
      reason: { kind: 'value', field: 'b' },
      message: '',
    } as const;
    expect(run.parsed(error)).toMatchObject({ kind: 'lm', adapter: 'json' });
    const raised = { ...error, pythonType: 'RecursionError', reason: { kind: 'exception' } } as const;
    expect(run.parsed(raised)).toMatchObject({ kind: 'failed', pythonType: 'RecursionError' });
  });

  it('sends the options without those of DSPy\u2019s client, and leaves several completions to Python', () => {
    const options = new Map<string, JsonValue>([
      ['temperature', new JsonNumber('0.0')],
      ['cache', true],
      ['stop', null],
    ]);
    expect(expectLm(begin({ ...settings, options }).start(inputs)).options).toEqual(
      new Map([['temperature', new JsonNumber('0.0')]]),
    );
    expect(begin({ ...settings, options: new Map([['n', new JsonNumber('2')]]) }).start(inputs).kind).toBe('doubtful');
  });

  it('refuses a call that it does not wait for', () => {
    expect(() => begin().observed('x')).toThrow(TypeError);
  });
});

describe('MultiChainComparison', () => {
  const compared = openPlan(
    planJson(
      [
        predictorJson('chain.predict', { reasoning: str, a: type('int') }),
        predictorJson('compare.predict', { rationale: str, a: type('int') }, [
          'q',
          'reasoning_attempt_1',
          'reasoning_attempt_2',
        ]),
      ],
      { module: 'multi_chain_comparison', settings: { M: 2 }, outputs: ['rationale', 'a'] },
    ),
  );

  it('leaves answers to Python that may be tuples or sets', () => {
    for (const of of [type('any'), type('list'), type('dict', str, type('any')), type('set', str)]) {
      const predictors = [
        predictorJson('chain.predict', { reasoning: str, a: of }),
        predictorJson('compare.predict', { rationale: str, a: of }),
      ];
      const plan = openPlan(planJson(predictors, { module: 'multi_chain_comparison', settings: { M: 2 } }));
      expect(createRun(plan, settings).start(inputs).kind).toBe('doubtful');
    }
  });

  it('asks M times, shows the first lines of the attempts, and compares', () => {
    const run = createRun(compared, settings);
    run.start(inputs);
    expectLm(run.reply('[[ ## reasoning ## ]]\n think \n more\n[[ ## a ## ]]\n1'));
    const last = expectLm(run.reply('[[ ## reasoning ## ]]\nguess\n[[ ## a ## ]]\n2'));
    expect(last.messages.at(-1)?.content).toContain("«I'm trying to think I'm not sure but my prediction is 1»");
    expect(run.reply('[[ ## rationale ## ]]\nr\n[[ ## a ## ]]\n2')).toMatchObject({ kind: 'done' });
  });
});

describe('ReAct', () => {
  const turns = openPlan(
    planJson(
      [
        predictorJson(
          'react',
          {
            next_thought: str,
            next_tool_name: literal('search', 'finish'),
            next_tool_args: type('dict', str, type('any')),
          },
          ['q', 'trajectory'],
        ),
        predictorJson('extract.predict', { reasoning: str, a: str }, ['q', 'trajectory']),
      ],
      { module: 'react', settings: { max_iters: 2 }, outputs: ['reasoning', 'a'] },
    ),
  );
  const turn = (name: string, args = '{}'): string =>
    `[[ ## next_thought ## ]]\nt\n[[ ## next_tool_name ## ]]\n${name}\n[[ ## next_tool_args ## ]]\n${args}`;

  it('calls tools, shows their answers, and extracts at the end', () => {
    const run = createRun(turns, settings);
    expect(expectLm(run.start(inputs)).messages.at(-1)?.content).toContain('[[ ## trajectory ## ]]\n\n\nRespond');
    expect(run.reply(turn('search', '{"k": 1}'))).toEqual({
      kind: 'tool',
      name: 'search',
      args: new Map([['k', new JsonNumber('1')]]),
    });
    const second = expectLm(run.observed(['one', 'two']));
    expect(second.messages.at(-1)?.content).toContain(
      '[[ ## thought_0 ## ]]\nt\n\n[[ ## tool_name_0 ## ]]\nsearch\n\n[[ ## tool_args_0 ## ]]\n{"k": 1}\n\n[[ ## observation_0 ## ]]\n[1] «one»\n[2] «two»',
    );
    const extract = expectLm(run.reply(turn('finish')));
    expect([extract.predictor, extract.messages.at(-1)?.content]).toEqual([
      'extract.predict',
      expect.stringContaining('Completed.'),
    ]);
    expect(run.reply('[[ ## reasoning ## ]]\nr\n[[ ## a ## ]]\nx')).toMatchObject({ kind: 'done' });
  });

  it('stops after max_iters', () => {
    const run = createRun(turns, settings);
    run.start(inputs);
    for (const last of ['react', 'extract.predict']) {
      run.reply(turn('search'));
      expect(expectLm(run.observed('x')).predictor).toBe(last);
    }
  });

  it('ends with a reply that no request can carry, before a tool is called', () => {
    const run = createRun(turns, settings);
    run.start(inputs);
    expect(run.reply(turn('search', '{"k": "\\ud83d"}'))).toMatchObject({
      kind: 'failed',
      pythonType: 'UnicodeEncodeError',
      reason: { kind: 'exception' },
    });
  });

  it('refuses arguments of finish in words and ends', () => {
    const run = createRun(turns, settings);
    run.start(inputs);
    const extract = expectLm(run.reply(turn('finish', '{"a": 1}')));
    expect(extract.predictor).toBe('extract.predict');
    expect(extract.messages.at(-1)?.content).toContain("Execution error in finish: Arg a is not in the tool's args.");
  });

  it('drops the oldest turn where the prompt is too long, and gives up where there is one', () => {
    const run = createRun(turns, settings);
    run.start(inputs);
    expect(expectLm(run.contextExceeded()).predictor).toBe('extract.predict');
    expect(run.contextExceeded()).toMatchObject({ kind: 'failed', pythonType: 'ContextWindowExceededError' });
  });
});
