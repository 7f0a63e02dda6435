import { describe, expect, it } from 'vitest';
import { loadPipeline } from './load-pipeline.ts';
import type { GroupStep } from './pipeline.ts';
import { readPipeline } from './read-pipeline.ts';
import { founding, fullForm, known, read, text } from './test-support/known.ts';
import { writePipeline } from './write-pipeline.ts';

const short = {
  steps: [
    { type: 'retrieve', module: 'colbert_v2', k: 10 },
    { type: 'predict', module: 'rag_qa' },
  ],
};

describe('the short form', () => {
  it('PRG-19 becomes a chain: parameters, results of earlier steps and the input are given by the names of fields', () => {
    expect(fullForm(short)).toEqual({
      inputs: 'question: str',
      steps: [
        {
          id: 'colbert_v2',
          type: 'module',
          module: 'colbert_v2',
          module_id: 'id-of-colbert_v2',
          input: { question: { $ref: 'input.question' }, k: 10 },
        },
        {
          id: 'rag_qa',
          type: 'module',
          module: 'rag_qa',
          module_id: 'id-of-rag_qa',
          input: { question: { $ref: 'input.question' }, context: { $ref: 'steps.colbert_v2.context' } },
          needs: ['colbert_v2'],
        },
      ],
      return: { $ref: 'steps.rag_qa' },
      outputs: 'answer: str, confidence: float',
    });
  });

  it('keeps the order although nothing is handed on', () => {
    const steps = [
      { type: 'retrieve', module: 'vector_retriever' },
      { type: 'retrieve', module: 'keyword_retriever' },
    ];
    expect(read({ steps }).steps[1]?.needs).toEqual(['vector_retriever']);
  });

  it('names steps after what they run, apart from those that the spec names', () => {
    const steps = [
      { type: 'retrieve', module: 'colbert_v2' },
      { type: 'retrieve', module: 'colbert_v2' },
      { type: 'predict', module: 'rag_qa', id: 'colbert_v2' },
    ];
    expect(read({ steps }).steps.map(({ id }) => id)).toEqual(['colbert_v2_2', 'colbert_v2_3', 'colbert_v2']);
  });

  it('gives a function the whole result before it', () => {
    const steps = [
      { type: 'retrieve', module: 'vector_retriever' },
      { type: 'function', function: 'merge_and_rank' },
    ];
    expect(read({ steps }).steps[1]).toMatchObject({
      input: { kind: 'ref', root: 'steps', path: ['vector_retriever'] },
    });
  });
});

describe('the full form', () => {
  it('PIP-01 PIP-06 takes what it states and gives back the result of the step that it names', () => {
    const pipeline = read(founding);
    expect(pipeline.inputs.map(({ name }) => name)).toEqual(['query', 'context']);
    expect(pipeline.return).toEqual({ kind: 'ref', root: 'steps', path: ['generate_response'] });
    expect(pipeline.steps.find(({ id }) => id === 'generate_response')).toMatchObject({
      kind: 'signature',
      module: 'chain_of_thought',
      signature: 'query: str, context: Any -> response: str',
      needs: ['merge_results'],
    });
  });

  it('PIP-02 C-23 has actions, whose result is a parsed signature', () => {
    const spec = {
      ...founding,
      return: { first: { $ref: 'steps.parse_input.inputs[0]' }, all: { $ref: 'steps.generate_response' } },
    };
    expect(read(spec).steps[0]).toMatchObject({ kind: 'action', resource: 'signature', action: 'parse' });
  });

  it('PIP-03 PIP-04 has groups of steps, Python classes with parameters among them', () => {
    const group = read(founding).steps.find(({ id }) => id === 'retrieval') as GroupStep;
    expect(group).toMatchObject({ kind: 'group', maxConcurrency: 3 });
    expect(group.minSuccess).toBeUndefined();
    expect(group.steps[2]).toMatchObject({ kind: 'python', module: 'dspy.ColBERTv2' });
    expect(fullForm(founding)).toMatchObject({
      steps: [{}, { steps: [{}, {}, { kwargs: { url: 'http://colbert.example' }, input: { k: 10 } }] }, {}, {}],
    });
  });

  it('PIP-07 puts a compensation where it is named: it is no step of its own', () => {
    const pipeline = read(founding);
    expect(pipeline.steps.map(({ id }) => id)).toEqual([
      'parse_input',
      'retrieval',
      'merge_results',
      'generate_response',
    ]);
    const generate = pipeline.steps.at(-1);
    expect(generate).toMatchObject({
      onError: 'compensate',
      compensate: { id: 'fallback_response', kind: 'function' },
    });
    // Both give a response; the reasoning is there only if the model answered.
    expect(pipeline.outputs.map(({ name, type }) => [name, type.kind])).toEqual([
      ['reasoning', 'union'],
      ['response', 'str'],
    ]);
  });

  it('PIP-08 is a fixed point: reading what was written gives the same, with and without looking names up', () => {
    for (const spec of [short, founding]) {
      const written = writePipeline(read(spec));
      const again = readPipeline(written, known);
      expect(again.faults).toEqual([]);
      expect(again.pipeline).toEqual(read(spec));
      expect(text(writePipeline(loadPipeline(text(written))))).toBe(text(written));
      expect(loadPipeline(text(written))).toEqual(read(spec));
    }
  });

  it('orders steps by what they need, otherwise as they stand', () => {
    const call = (id: string, ...needs: string[]) => ({
      ...{ id, type: 'module', module: 'notify', needs },
      input: { message: { $ref: 'input.text' } },
    });
    const steps = [call('last', 'middle'), call('first'), call('middle', 'first'), call('other')];
    expect(read({ inputs: 'text: str', steps }).steps.map(({ id }) => id)).toEqual([
      'first',
      'middle',
      'last',
      'other',
    ]);
  });

  it('finds what a step needs in references, expressions, conditions, compensations and undo steps', () => {
    const value = (id: string, input: unknown, more: object = {}) => ({
      id,
      type: 'function',
      function: 'value',
      input,
      ...more,
    });
    const steps = [
      ...['a', 'b', 'c', 'd', 'e'].map((id) => value(id, { x: { $ref: 'input.text' } })),
      value(
        'all',
        { deep: [{ $ref: 'steps.a.x' }, { $cel: 'steps["b"].x + "!"' }] },
        {
          when: 'steps.c.x != ""',
          compensate: { type: 'function', function: 'value', input: [{ $ref: 'steps.d' }, { $ref: 'error.reason' }] },
          undo: {
            type: 'function',
            function: 'value',
            input: { own: { $ref: 'steps.all' }, other: { $ref: 'steps.e.x' } },
          },
        },
      ),
    ];
    const all = read({ inputs: 'text: str', steps }).steps.at(-1);
    expect(all?.needs).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect([all?.compensate?.id, all?.undo?.id]).toEqual(['all_compensate', 'all_undo']);
  });

  it('takes registered signatures, written ones and settings of the model', () => {
    const steps = [
      {
        id: 'title',
        type: 'signature',
        signature: 'Signet.Title',
        input: { text: { $ref: 'input.text' } },
        lm: 'main',
      },
      {
        id: 'again',
        type: 'signature',
        signature: 'title -> words: list[str]',
        module: 'chain_of_thought',
        instructions: 'Split it.',
        input: { title: { $ref: 'steps.title.title' } },
      },
    ];
    const pipeline = read({ steps });
    expect(pipeline.inputs.map(({ name }) => name)).toEqual(['text']);
    expect(pipeline.steps).toMatchObject([
      { kind: 'signature', signature: 'text: str -> title: str', module: 'predict', lm: 'main', instructions: '' },
      { signature: 'title: str -> words: list[str]', module: 'chain_of_thought', instructions: 'Split it.' },
    ]);
  });

  it.each([
    ['a text', 'query: str, k: int = 3'],
    ['a list of texts', ['query', 'k: int = 3']],
    ['a list of fields', [{ name: 'query' }, { name: 'k', type: 'int', default: 3 }]],
    ['an object', { query: 'str', k: { type: 'int', default: 3 } }],
  ])('reads inputs that are %s', (_form, inputs) => {
    const steps = [{ type: 'function', function: 'value', input: { $cel: 'input.query' } }];
    expect(fullForm({ inputs, steps }).inputs).toBe('query: str, k: int = 3');
  });

  it('keeps what only looks like a reference', () => {
    const input = { a: { $literal: { $ref: 'nothing' } }, b: { $ref: 'input.text' } };
    const steps = [{ id: 's', type: 'function', function: 'value', input }];
    expect(fullForm({ steps })).toMatchObject({ steps: [{ input }] });
  });
});
