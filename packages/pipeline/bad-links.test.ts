import { describe, expect, it } from 'vitest';
import { allFaultsOf, faultsOf, fine, qa, question, value } from './test-support/known.ts';

const nested = (depth: number): object =>
  depth === 0 ? fine : { id: `g${depth}`, type: 'group', steps: [nested(depth - 1)] };

const bad: [string, unknown, string[]][] = [
  [
    'ids that stand twice',
    { steps: [fine, { id: 'g', type: 'group', steps: [fine] }] },
    ['steps[1].steps[0].id DUPLICATE'],
  ],
  [
    'reserved ids',
    { steps: ['input', 'steps', '__proto__', 'constructor', '1a', 'a-b', ''].map((id) => ({ ...fine, id })) },
    [0, 1, 2, 3, 4, 5, 6].map((at) => `steps[${at}].id INVALID`),
  ],
  ['a step that needs itself', { steps: [{ ...fine, needs: ['qa'] }] }, ['steps[0].needs[0] CYCLE']],
  [
    'a cycle',
    {
      inputs: 'question',
      steps: [value('a', { $ref: 'steps.c' }), value('b', { $ref: 'steps.a' }), value('c', question, { needs: ['b'] })],
    },
    ['steps[0] CYCLE'],
  ],
  [
    'two cycles',
    {
      inputs: 'question',
      steps: [
        value('a', { $ref: 'steps.b' }),
        value('b', { $cel: 'steps.a' }),
        value('c', { $ref: 'steps.d' }),
        value('d', question, { when: 'steps.c.x' }),
      ],
    },
    ['steps[0] CYCLE', 'steps[2] CYCLE'],
  ],
  [
    'a cycle through a group',
    {
      inputs: 'question',
      steps: [
        { id: 'g', type: 'group', steps: [value('inner', { $ref: 'steps.out' })] },
        value('out', { $ref: 'steps.g.inner' }),
      ],
    },
    ['steps[0] CYCLE'],
  ],
  [
    'steps of a group that look at each other',
    {
      inputs: 'question',
      steps: [{ id: 'g', type: 'group', steps: [value('a', question), value('b', { $ref: 'steps.a' })] }],
    },
    ['steps[0].steps[1].input CYCLE'],
  ],
  [
    'a step of a group from outside',
    {
      inputs: 'question',
      steps: [{ id: 'g', type: 'group', steps: [value('a', question)] }, value('b', { $ref: 'steps.a' })],
    },
    ['steps[1].input STEP_UNKNOWN'],
  ],
  ['groups without steps', { steps: [fine, { id: 'g', type: 'group', steps: [] }] }, ['steps[1].steps REQUIRED']],
  ['groups that are too deep', { steps: [nested(5)] }, ['steps[0].steps[0].steps[0].steps[0].steps[0].steps TOO_MANY']],
  [
    'bounds out of range',
    {
      steps: [
        { ...fine, timeout_ms: 0, retries: 11, on_error: 'ignore' },
        { id: 'g', type: 'group', steps: [{ ...fine, id: 'x' }], max_concurrency: 101, min_success: 2, mode: 'fast' },
      ],
    },
    [
      'steps[0].on_error INVALID',
      'steps[0].retries INVALID',
      'steps[0].timeout_ms INVALID',
      'steps[1].max_concurrency INVALID',
      'steps[1].min_success INVALID',
      'steps[1].mode INVALID',
    ],
  ],
  [
    'a compensation that is not there',
    { steps: [{ ...fine, compensate: 'nobody' }] },
    ['steps[0].compensate STEP_UNKNOWN'],
  ],
  ['a compensation of itself', { steps: [{ ...fine, compensate: 'qa' }] }, ['steps[0].compensate CYCLE']],
  [
    'a compensation of two',
    { steps: [{ ...fine, compensate: 'f' }, { ...fine, id: 'b', compensate: 'f' }, value('f', 1)] },
    ['steps[1].compensate DUPLICATE'],
  ],
  [
    'groups that stand in for steps of each other',
    {
      steps: [
        { id: 'g', type: 'group', steps: [{ ...fine, compensate: 'h' }] },
        { id: 'h', type: 'group', steps: [{ ...fine, id: 'x', compensate: 'g' }] },
      ],
    },
    ['steps[0].steps[0].compensate INVALID', 'steps[1].steps[0].compensate INVALID'],
  ],
  ['a compensation that is missing', { steps: [{ ...fine, on_error: 'compensate' }] }, ['steps[0].on_error REQUIRED']],
  [
    'a compensation with conditions',
    { steps: [{ ...fine, compensate: value('f', 1, { when: 'true', undo: value('u', 1) }) }] },
    ['steps[0].compensate.undo INVALID', 'steps[0].compensate.when INVALID'],
  ],
  [
    'a result that is there only after a failure',
    { steps: [{ ...fine, compensate: 'f' }, value('f', 1), value('g', { $ref: 'steps.f' })] },
    ['steps[2].input UNREACHABLE'],
  ],
  [
    'an error where there is none',
    { steps: [qa({ question: { $ref: 'error.message' }, context: [] })] },
    ['steps[0].input.question INVALID'],
  ],
  ['a step that never runs', { steps: [{ ...fine, when: false }] }, ['steps[0].when UNREACHABLE']],
  ['a result that nobody uses', { steps: [value('a', question), fine], return: 'qa' }, ['steps[0] UNUSED']],
];

describe('specs whose steps do not fit together', () => {
  it.each(bad)('PRG-19 are refused with each fault and its path: %s', (_what, spec, expected) => {
    expect(faultsOf(spec)).toEqual(expected);
  });

  it('name a cycle by its path', () => {
    const steps = [value('a', { $ref: 'steps.c' }), value('b', { $ref: 'steps.a' }), value('c', { $ref: 'steps.b' })];
    expect(allFaultsOf({ inputs: 'question', steps })[0]?.message).toBe('the steps wait for each other: a → c → b → a');
  });
});
