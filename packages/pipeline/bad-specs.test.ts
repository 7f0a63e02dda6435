import { describe, expect, it } from 'vitest';
import { readPipeline } from './read-pipeline.ts';
import { allFaultsOf, faultsOf, fine, founding, known, qa, question, value } from './test-support/known.ts';

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

  it('are told of inputs without an arrow that nobody left out', () => {
    const [fault] = allFaultsOf({ inputs: 'question str', steps: [fine] });
    expect(fault?.message).toBe('line 1, column 10: expected `:` or `,`, found `str`');
  });

  it('are no JSON objects at all', () => {
    for (const spec of [null, true, 'steps', new Map(), []]) expect(readPipeline(spec, known).pipeline).toBeUndefined();
  });

  it('have a counterpart: the founding pipeline has none', () => {
    expect(faultsOf(founding)).toEqual([]);
  });
});
