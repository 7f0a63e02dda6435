import { type JsonValue, jsonFromPlain } from '@signet/signature/json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { Fault } from '../fault.ts';
import { builtInFunctions } from '../functions.ts';
import { type Known, type KnownModule, pythonDefaults } from '../known.ts';
import type { Pipeline } from '../pipeline.ts';
import { readPipeline } from '../read-pipeline.ts';
import { writePipeline } from '../write-pipeline.ts';

const module = (name: string, type: string, spec?: string): KnownModule => ({
  id: `id-of-${name}`,
  name,
  type,
  fields: spec === undefined ? undefined : parseSpec(spec),
});

const modules = new Map(
  [
    module('vector_retriever', 'retrieve', 'query: str -> passages: list[str]'),
    module('keyword_retriever', 'retrieve', 'query: str -> passages: list[str]'),
    module('colbert_v2', 'retrieve', 'question: str, k: int = 3 -> context: list[str]'),
    module('rag_qa', 'predict', 'question: str, context: list[str] -> answer: str, confidence: float'),
    module('notify', 'custom', 'message: str, score: float | None -> sent: bool'),
    module('empty', 'predict'),
  ].map((known) => [known.name, known]),
);

/** What specs of these tests may name. */
export const known: Known = {
  isTrusting: false,
  module: (named) => modules.get(named),
  isPython: (name) => pythonDefaults.includes(name) || name === 'Shop.rank',
  isFunction: (name) => builtInFunctions.has(name),
  signature: (named) => (named === 'Signet.Title' ? parseSpec('text: str -> title: str') : undefined),
  isLanguageModel: (slug) => slug === 'main',
  moduleNames: [...modules.keys()],
  functionNames: [...builtInFunctions.keys()],
  pythonNames: [...pythonDefaults],
};

/** Reads a spec of plain data that has no faults. */
export function read(spec: unknown): Pipeline {
  const { pipeline, faults } = readPipeline(jsonFromPlain(spec), known);
  if (pipeline === undefined) throw new Error(`the spec has faults: ${JSON.stringify(faults)}`);
  return pipeline;
}

/** The faults of a spec of plain data, each as `path reason`. */
export function faultsOf(spec: unknown): string[] {
  return allFaultsOf(spec).map(({ path, reason }) => `${path.replace(/^pipeline_spec\.?/, '')} ${reason}`);
}

/** The faults of a spec of plain data. */
export function allFaultsOf(spec: unknown): readonly Fault[] {
  return readPipeline(jsonFromPlain(spec), known).faults;
}

/** The full form of a spec as plain data. */
export function fullForm(spec: unknown): Record<string, unknown> {
  return JSON.parse(writeJson(writePipeline(read(spec)))) as Record<string, unknown>;
}

/** The text of a JSON value. */
export const text = (value: JsonValue): string => writeJson(value);

/** The founding pipeline of retrieval and generation, in the full form. */
export const founding = {
  inputs: ['query', 'context: Any = None'],
  steps: [
    {
      id: 'parse_input',
      type: 'action',
      resource: 'signature',
      action: 'parse',
      input: { spec: 'query: str -> parsed_query: dict' },
    },
    {
      id: 'retrieval',
      type: 'group',
      mode: 'async',
      steps: [
        { id: 'vector_search', type: 'module', module: 'vector_retriever', input: { query: { $ref: 'input(query)' } } },
        {
          id: 'keyword_search',
          type: 'module',
          module: 'keyword_retriever',
          input: { query: { $ref: 'input.query' } },
        },
        {
          id: 'colbert_search',
          type: 'python',
          module: 'dspy.ColBERTv2',
          kwargs: { url: 'http://colbert.example' },
          input: { query: { $ref: 'input.query' } },
          k: 10,
        },
      ],
    },
    { id: 'merge_results', type: 'function', function: 'merge_and_rank', input: { $ref: 'result(retrieval)' } },
    {
      id: 'generate_response',
      type: 'module',
      module: 'chain_of_thought',
      input: { query: { $ref: 'input(query)' }, context: { $ref: 'result(merge_results)' } },
      compensate: 'fallback_response',
    },
    {
      id: 'fallback_response',
      type: 'function',
      function: 'value',
      input: { response: "I apologize, but I'm unable to process this request at the moment." },
    },
  ],
  return: 'generate_response',
};

/** A step of the function `value`. */
export const value = (id: string, input: unknown, more: object = {}) => ({
  id,
  type: 'function',
  function: 'value',
  input,
  ...more,
});

/** A step of the module `rag_qa`. */
export const qa = (input: object, more: object = {}) => ({
  id: 'qa',
  type: 'module',
  module: 'rag_qa',
  input,
  ...more,
});
/** The input `question`. */
export const question = { $ref: 'input.question' };
/** A step without faults. */
export const fine = qa({ question, context: ['x'] });
