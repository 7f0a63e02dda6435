import { JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { describe, expect, it } from 'vitest';
import { openPlan } from '../plan/open-plan.ts';
import { planJson, predictorJson, predictorOf, type } from '../test-support/plans.ts';
import { renderMessages } from './render-messages.ts';

const str = type('str');
const predictor = openPlan(planJson([predictorJson('predict', { a: str }, ['x', 'y'])])).predictors[0]!;

function shown(inputs: Readonly<Record<string, JsonValue>>): unknown {
  const rendered = renderMessages(predictor, 'chat', new Map(Object.entries(inputs)));
  return rendered.kind === 'messages' ? rendered.messages.at(-1)?.content : rendered;
}

describe('rendering', () => {
  it('fills the slots in the signature\u2019s order and ends with the reminder', () => {
    expect(shown({ y: 'two', x: 'one', z: 'ignored' })).toBe(
      '[[ ## x ## ]]\none\n\n[[ ## y ## ]]\ntwo\n\nRespond by chat.',
    );
  });

  it('leaves out what is absent', () => {
    expect(shown({ y: '\n two ' })).toBe('[[ ## y ## ]]\n\n two \n\nRespond by chat.');
    expect(shown({})).toBe('Respond by chat.');
  });

  it.each<[JsonValue, string]>([
    [null, 'None'],
    [true, 'True'],
    [new JsonNumber('1E5'), '100000.0'],
    [new JsonNumber('NaN'), 'nan'],
    [[], 'N/A'],
    [['a'], '«a»'],
    [[["it's", 'a\nb', null]], `«["it's", 'a\\nb', None]»`],
    [[new Map<string, JsonValue>([['k', [true, new JsonNumber('1E5')]]])], "«{'k': [True, 100000.0]}»"],
    [['a', 'b\nc'], '[1] «a»\n[2] «««\n    b\n    c\n»»»'],
    [new Map<string, JsonValue>([['k', [null, false]]]), '{"k": [null, false]}'],
  ])('shows %j as %j', (value, text) => {
    expect(shown({ x: value })).toBe(`[[ ## x ## ]]\n${text}\n\nRespond by chat.`);
  });

  it('refuses numbers in a list in a text field, as DSPy does, and containers that hold one of its marks', () => {
    expect(shown({ x: [new JsonNumber('1'), 'a'] })).toMatchObject({ kind: 'failed', pythonType: 'TypeError' });
    expect(shown({ x: [['a', '«']] })).toMatchObject({ kind: 'failed', pythonType: 'AttributeError' });
    expect(shown({ x: [new Map([['\n', true]])] })).toMatchObject({ kind: 'failed', pythonType: 'AttributeError' });
  });

  it('leaves nesting beyond what is certain to Python', () => {
    let deep: JsonValue = [];
    for (let level = 0; level < 200; level++) deep = [deep];
    expect(shown({ x: [deep] })).toMatchObject({ kind: 'doubtful' });
    expect(shown({ x: deep })).toMatchObject({ kind: 'doubtful' });
  });

  it('tells what DSPy raised where an adapter has no text', () => {
    const raw = predictorJson('predict', { a: str });
    const faulty = { ...raw, chat: { fault: { type: 'TypeError', message: 'a demo' } } };
    const own = openPlan(planJson([faulty])).predictors[0]!;
    expect(renderMessages(own, 'chat', new Map())).toEqual({
      kind: 'failed',
      pythonType: 'TypeError',
      message: 'a demo',
    });
    expect(renderMessages(own, 'json', new Map()).kind).toBe('messages');
  });

  it.each(['', '[]', '{"format":2}', '{"format":1,"module":"predict"}', planJson([]), planJson([{ name: 'predict' }])])(
    'refuses the plan %j',
    (text) => {
      expect(() => openPlan(text)).toThrow(/plan|object/);
    },
  );

  it('keeps 3 MB of text as it is', () => {
    const text = '\u001c[[ ## a ## ]]'.repeat(200_000);
    const rendered = renderMessages(predictorOf({ a: str }), 'chat', new Map([['q', text]]));
    expect(rendered.kind === 'messages' && rendered.messages[1]?.content).toBe(
      `[[ ## q ## ]]\n${text}\n\nRespond by chat.`,
    );
  });
});
