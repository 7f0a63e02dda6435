import { describe, expect, it } from 'vitest';
import { readPipeline } from './read-pipeline.ts';
import { allFaultsOf, faultsOf, founding, known } from './test-support/known.ts';

const value = (id: string, input: unknown, more: object = {}) => ({
  id,
  type: 'function',
  function: 'value',
  input,
  ...more,
});
const qa = (input: object, more: object = {}) => ({ id: 'qa', type: 'module', module: 'rag_qa', input, ...more });
const question = { $ref: 'input.question' };
const fine = qa({ question, context: ['x'] });
const nested = (depth: number): object =>
  depth === 0 ? fine : { id: `g${depth}`, type: 'group', steps: [nested(depth - 1)] };

const bad: [string, unknown, string[]][] = [
  ['nothing', {}, ['steps REQUIRED']],
  ['no steps', { steps: [] }, ['steps REQUIRED']],
  [
    'steps that are none',
    { steps: [1, 'two', null, []] },
    ['steps[0] INVALID', 'steps[1] INVALID', 'steps[2] INVALID', 'steps[3] INVALID'],
  ],
  ['a list', [], [' INVALID']],
  ['no list of steps', { steps: {} }, ['steps INVALID']],
  ['unknown keys', { steps: [fine], step: 1, constructor: 2 }, ['constructor FIELD_UNKNOWN', 'step FIELD_UNKNOWN']],
  ['no type', { steps: [{ id: 'a' }] }, ['steps[0].type REQUIRED']],
  ['an unknown type', { steps: [{ type: 'ash_step' }] }, ['steps[0].type INVALID']],
  [
    'an unknown module',
    { steps: [{ type: 'module', module: 'rag_qaa', input: {} }] },
    ['steps[0].module MODULE_INVALID'],
  ],
  [
    'a module without a signature',
    { steps: [{ type: 'predict', module: 'empty', input: {} }] },
    ['steps[0].module MODULE_INVALID'],
  ],
  ['a module of another type', { steps: [{ type: 'retrieve', module: 'rag_qa' }] }, ['steps[0].type MODULE_INVALID']],
  [
    'a module of another id',
    { steps: [{ ...fine, module_id: 'id-of-colbert_v2' }] },
    ['steps[0].module_id MODULE_INVALID'],
  ],
  [
    'Python that is not allowed',
    { steps: [{ type: 'python', module: 'os.system', input: { c: { $ref: 'input.c' } } }] },
    ['steps[0].module PYTHON_INVALID'],
  ],
  [
    'Python made out of the run',
    {
      steps: [
        {
          type: 'python',
          module: 'dspy.ColBERTv2',
          kwargs: { url: { $ref: 'input.url' }, __class__: 1 },
          input: { query: { $ref: 'input.q' } },
        },
      ],
    },
    ['steps[0].kwargs.__class__ INVALID', 'steps[0].kwargs.url INVALID'],
  ],
  [
    'an unknown function',
    { steps: [{ type: 'function', function: 'eval', input: question }] },
    ['steps[0].function FUNCTION_INVALID'],
  ],
  [
    'an unknown action',
    { steps: [{ type: 'action', resource: 'program', action: 'delete', input: { spec: 'a -> b' } }] },
    ['steps[0].resource ACTION_INVALID'],
  ],
  [
    'a spec to parse that is none',
    { steps: [{ type: 'action', resource: 'signature', action: 'parse', input: { spec: 'a ->' } }, fine] },
    ['steps[0].input.spec SIGNATURE_INVALID'],
  ],
  [
    'a signature that is none',
    { steps: [{ type: 'signature', signature: 'a: strr -> b', input: { a: question } }] },
    ['steps[0].signature SIGNATURE_INVALID'],
  ],
  [
    'an unknown signature',
    { steps: [{ type: 'signature', signature: 'No.Such', input: { a: question } }] },
    ['steps[0].signature SIGNATURE_INVALID'],
  ],
  [
    'an unknown model',
    { steps: [{ type: 'signature', signature: 'a -> b', lm: 'none', input: { a: question } }] },
    ['steps[0].lm LM_NOT_FOUND'],
  ],
  [
    'a reference into nothing',
    { inputs: 'question', steps: [qa({ question: { $ref: 'steps.nope.x' }, context: { $ref: 'input.ctx' } })] },
    ['steps[0].input.context FIELD_UNKNOWN', 'steps[0].input.question STEP_UNKNOWN'],
  ],
  [
    'a reference to a field that nobody makes',
    { steps: [{ ...fine, id: 'a' }, value('b', { $ref: 'steps.a.anwser' })] },
    ['steps[1].input FIELD_UNKNOWN'],
  ],
  [
    'an expression over a field that nobody makes',
    { steps: [{ ...fine, id: 'a' }, value('b', { $cel: 'steps.a.anwser' })] },
    ['steps[1].input FIELD_UNKNOWN'],
  ],
  [
    'references that are none',
    { steps: [qa({ question: { $ref: 7 }, context: { $ref: 'context' } })] },
    ['inputs REQUIRED', 'steps[0].input.context INVALID', 'steps[0].input.question INVALID'].slice(1),
  ],
  [
    'marks that do not stand alone',
    { steps: [qa({ question, context: { $ref: 'input.c', default: [] } })] },
    ['steps[0].input.context INVALID'],
  ],
  ['unknown marks', { steps: [qa({ question, context: { $js: '1' } })] }, ['steps[0].input.context INVALID']],
  [
    'bad CEL',
    { steps: [qa({ question: { $cel: 'input.question +' }, context: { $cel: 'nobody.x' } }, { when: 'steps' })] },
    ['steps[0].input.context EXPRESSION', 'steps[0].input.question EXPRESSION', 'steps[0].when EXPRESSION'],
  ],
  [
    'types that do not meet',
    { inputs: 'question: list[str]', steps: [qa({ question, context: 'x' })] },
    ['steps[0].input.context TYPE_MISMATCH', 'steps[0].input.question TYPE_MISMATCH'],
  ],
  [
    'an object where a text is asked for',
    { steps: [qa({ question: { a: question }, context: [] })] },
    ['steps[0].input.question TYPE_MISMATCH'],
  ],
  [
    'fields that are missing, and others',
    { steps: [qa({ question, contxt: [] })] },
    ['steps[0].input.context INPUT_MISSING', 'steps[0].input.contxt FIELD_UNKNOWN'],
  ],
  [
    'parameters that nobody takes',
    { steps: [{ type: 'predict', module: 'rag_qa', k: 10 }] },
    ['steps[0].k FIELD_UNKNOWN'],
  ],
  ['a parameter twice', { steps: [{ ...fine, question: 'x' }] }, ['steps[0].question DUPLICATE']],
  [
    'a step that can be skipped as what must be there',
    {
      inputs: 'question',
      steps: [
        { ...fine, id: 'a', when: 'input.question != ""' },
        { ...fine, id: 'b', input: { question: { $ref: 'steps.a.answer' }, context: [] } },
      ],
    },
    ['steps[1].input.question TYPE_MISMATCH'],
  ],
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
  ['a return that nothing makes', { steps: [fine], return: 'answer' }, ['return STEP_UNKNOWN']],
  [
    'a return of a field that nothing makes',
    { steps: [fine], return: { a: { $ref: 'steps.qa.anwser' } } },
    ['return.a FIELD_UNKNOWN'],
  ],
  ['a return that is always the same', { steps: [fine], return: { a: 1 } }, ['return INVALID']],
  [
    'outputs that nothing makes',
    { steps: [fine], outputs: 'answer: int, proof: str' },
    ['outputs.answer TYPE_MISMATCH', 'outputs.proof FIELD_UNKNOWN'],
  ],
  ['inputs that are none', { inputs: 'question -> answer', steps: [fine] }, ['inputs SIGNATURE_INVALID']],
  ['an input twice', { inputs: ['question', 'question'], steps: [fine] }, ['inputs DUPLICATE']],
  ['no inputs at all', { steps: [value('a', 1)] }, ['inputs REQUIRED']],
  [
    'what no database can keep',
    { steps: [qa({ question: 'a\u0000b', context: [] })] },
    ['steps[0].input.question TEXT_INVALID'],
  ],
  ['too long a spec', { steps: [qa({ question: 'x'.repeat(270_000), context: [] })] }, [' TOO_LONG']],
];

describe('specs with faults', () => {
  it.each(bad)('PRG-19 are refused with each fault and its path: %s', (_what, spec, expected) => {
    expect(faultsOf(spec)).toEqual(expected);
  });

  it('PRG-18 are told of all at once, with names that were meant', () => {
    const faults = allFaultsOf({
      inputs: 'question: str',
      steps: [
        { id: 'find', type: 'retrieve', module: 'vector_retriver' },
        qa({ question: { $ref: 'steps.fnd.x' }, context: 1 }, { on_error: 'compensate' }),
        { type: 'function', function: 'merge_and_rnk', input: {} },
      ],
    });
    expect(faults.map(({ path, reason }) => [path, reason])).toEqual([
      ['pipeline_spec.steps[0].module', 'MODULE_INVALID'],
      ['pipeline_spec.steps[1].input.context', 'TYPE_MISMATCH'],
      ['pipeline_spec.steps[1].input.question', 'STEP_UNKNOWN'],
      ['pipeline_spec.steps[1].on_error', 'REQUIRED'],
      ['pipeline_spec.steps[2].function', 'FUNCTION_INVALID'],
    ]);
    expect(faults[0]?.message).toMatch(/did you mean `vector_retriever`\?/);
    expect(faults[2]?.message).toMatch(/there is no step `fnd`; did you mean `find`\?/);
  });

  it('name a cycle by its path', () => {
    const steps = [value('a', { $ref: 'steps.c' }), value('b', { $ref: 'steps.a' }), value('c', { $ref: 'steps.b' })];
    expect(allFaultsOf({ inputs: 'question', steps })[0]?.message).toBe('the steps wait for each other: a → c → b → a');
  });

  it('are refused at once for 10,000 steps, and quickly checked with 1,000', () => {
    const many = (count: number) => ({
      inputs: 'text: str',
      steps: Array.from({ length: count }, (_, at) =>
        value(`s${at}`, { $ref: at === 0 ? 'input.text' : `steps.s${at - 1}` }),
      ),
    });
    const before = performance.now();
    expect(faultsOf(many(10_000))).toEqual(['steps TOO_MANY']);
    expect(faultsOf({ steps: [{ id: 'g', type: 'group', steps: many(1000).steps }] })).toEqual(['steps TOO_MANY']);
    expect(faultsOf(many(1000))).toEqual([]);
    expect(performance.now() - before).toBeLessThan(10_000);
  });

  it('are told of up to 100 faults, one a place and reason', () => {
    const steps = Array.from({ length: 300 }, () => ({ type: 'nope' }));
    expect(allFaultsOf({ steps })).toHaveLength(100);
  });

  it('are no JSON objects at all', () => {
    for (const spec of [null, true, 'steps', new Map(), []]) expect(readPipeline(spec, known).pipeline).toBeUndefined();
  });

  it('have a counterpart: the founding pipeline has none', () => {
    expect(faultsOf(founding)).toEqual([]);
  });
});
