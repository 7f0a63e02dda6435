import { type JsonValue, jsonFromPlain } from '@signet/signature/json.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadPipeline } from './load-pipeline.ts';
import { readPipeline } from './read-pipeline.ts';
import { known, text } from './test-support/known.ts';
import { writePipeline } from './write-pipeline.ts';

const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'in', '__proto__', '1', '');
const reference = fc.constantFrom(
  'input.question',
  'input.text',
  'steps.a',
  'steps.b.answer',
  'result(c)',
  'steps.d[0]',
  'error.message',
  'x',
);
const leaf = fc.oneof(
  fc.jsonValue({ maxDepth: 1 }),
  reference.map(($ref) => ({ $ref })),
  fc.constantFrom('input.question', 'steps.a.x + 1', 'steps.b == null', '1 +').map(($cel) => ({ $cel })),
  fc.jsonValue({ maxDepth: 1 }).map(($literal) => ({ $literal })),
);
const input = fc.oneof(
  leaf,
  fc.dictionary(fc.constantFrom('question', 'context', 'query', 'k', 'spec', 'x'), leaf, { maxKeys: 3 }),
);
const common = {
  id,
  needs: fc.array(id, { maxLength: 2 }),
  when: fc.oneof(fc.constantFrom('true', 'steps.a.x > 1', 'nope'), leaf),
  timeout_ms: fc.integer({ min: -1, max: 100 }),
  retries: fc.integer({ min: -1, max: 12 }),
  on_error: fc.constantFrom('fail', 'skip', 'compensate', 'x'),
};
const { step } = fc.letrec<{ step: object }>((tie) => ({
  step: fc.record(
    {
      ...common,
      type: fc.constantFrom(
        'module',
        'predict',
        'retrieve',
        'function',
        'signature',
        'python',
        'group',
        'action',
        'nope',
      ),
      module: fc.constantFrom('rag_qa', 'colbert_v2', 'chain_of_thought', 'dspy.ColBERTv2', 'nope'),
      function: fc.constantFrom('value', 'merge_and_rank', 'nope'),
      signature: fc.constantFrom('question -> answer', 'Signet.Title', 'a ->'),
      resource: fc.constant('signature'),
      action: fc.constant('parse'),
      input,
      steps: fc.array(tie('step'), { maxLength: 3, depthIdentifier: 'steps' }),
      compensate: fc.oneof({ maxDepth: 1 }, id, tie('step')),
      undo: fc.oneof({ maxDepth: 1 }, fc.constant(null), tie('step')),
      k: fc.jsonValue({ maxDepth: 1 }),
    },
    { requiredKeys: ['type'] },
  ),
}));
const spec = fc.record(
  {
    inputs: fc.oneof(fc.constantFrom('question: str, text', '', 'a ->'), fc.jsonValue({ maxDepth: 2 })),
    steps: fc.array(step, { maxLength: 5 }),
    return: fc.oneof(id, leaf),
    outputs: fc.constantFrom('answer: str', 'x: int'),
  },
  { requiredKeys: ['steps'] },
);

/** Specs that have a chance: each step has what its kind needs and looks at earlier steps alone. */
const likely = fc
  .array(fc.tuple(fc.constantFrom('value', 'qa', 'python', 'group'), fc.nat(), fc.boolean()), {
    minLength: 1,
    maxLength: 8,
  })
  .map((kinds) => ({
    inputs: 'question: str',
    steps: kinds.map(([kind, seed, isCel], at) => {
      const before = at === 0 ? 'input.question' : `steps.s${seed % at}`;
      const from = isCel ? { $cel: before } : { $ref: before };
      const step = (id: string) => ({
        id,
        type: 'function',
        function: 'value',
        input: { seen: from, fixed: [1, { $literal: { $ref: 'x' } }] },
      });
      if (kind === 'qa')
        return {
          id: `s${at}`,
          type: 'module',
          module: 'rag_qa',
          input: { question: { $ref: 'input.question' }, context: { $cel: `[string(${before} == null)]` } },
          undo: step(`u${at}`),
        };
      if (kind === 'python')
        return {
          id: `s${at}`,
          type: 'python',
          module: 'dspy.ColBERTv2',
          input: { query: from },
          retries: seed % 3,
          on_error: 'skip',
        };
      if (kind === 'group')
        return {
          id: `s${at}`,
          type: 'group',
          steps: [step(`x${at}`), step(`y${at}`)],
          min_success: 1,
          undo: step(`u${at}`),
        };
      return { ...step(`s${at}`), undo: step(`u${at}`) };
    }),
  }));

function isFixedPoint(given: JsonValue): boolean {
  const { pipeline, faults } = readPipeline(given, known);
  if (pipeline === undefined) {
    expect(faults.length).toBeGreaterThan(0);
    for (const fault of faults) expect(fault.path).toMatch(/^pipeline_spec/);
    return false;
  }
  const written = writePipeline(pipeline);
  expect(readPipeline(written, known)).toEqual({ pipeline, faults: [] });
  expect(loadPipeline(text(written))).toEqual(pipeline);
  return true;
}

describe('any spec', () => {
  it('is read or refused with faults, never otherwise', () => {
    fc.assert(
      fc.property(spec, (given) => void isFixedPoint(jsonFromPlain(given))),
      { numRuns: 600 },
    );
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (given) => void isFixedPoint(jsonFromPlain(given))),
      { numRuns: 200 },
    );
  });

  it('PIP-08 that is read comes out of its full form as it was', () => {
    let count = 0;
    fc.assert(
      fc.property(likely, (given) => {
        if (isFixedPoint(jsonFromPlain(given))) count++;
      }),
      { numRuns: 300 },
    );
    // What was made up is not refused for the most part, or this test would show nothing.
    expect(count).toBeGreaterThan(150);
  });
});
