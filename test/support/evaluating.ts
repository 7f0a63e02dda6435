import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import type { JsonObject } from './http.ts';
import { demand, readyProgram, uniqueName } from './programs.ts';
import { type Behaviour, type ScriptedLm, type SeenRequest, startScriptedLm } from './scripted-lm.ts';
import { type Stack, startStack } from './stack.ts';

const metrics = `
import os, time

def polite(example, pred, trace=None):
    return {"score": 1.0 if "please" in pred.answer else 0.25, "feedback": f"{example.question} -> {pred.answer}"}

def moody(example, pred, trace=None):
    if example.question.startswith("right 1"):
        raise ValueError("no opinion")
    if example.question.startswith("right 2"):
        while True:
            time.sleep(0.05)
    if example.question.startswith("wrong"):
        os._exit(9)
    return True
`;

/** A reply in DSPy's form. */
export const chat = (fields: Record<string, string>): string =>
  `${Object.entries(fields)
    .map(([name, value]) => `[[ ## ${name} ## ]]\n${value}\n\n`)
    .join('')}[[ ## completed ## ]]`;

/** What a model was asked last. */
export const said = ({ body }: SeenRequest): string => String(body.messages?.at(-1)?.content ?? '');
/** A field of such a text. */
export const field = (text: string, name: string): string =>
  new RegExp(`\\[\\[ ## ${name} ## \\]\\]\n([^\n]*)`).exec(text)?.[1] ?? '';

/** Knows the answers to `right N` alone; judges by them. */
function answers(delayMs = 0) {
  return (request: SeenRequest): Behaviour => {
    const text = said(request);
    if (text.includes('[[ ## criteria ## ]]')) {
      const isRight = field(text, 'answer').includes('N');
      return {
        kind: 'text',
        text: chat({ reasoning: `seen ${field(text, 'answer')}`, score: isRight ? '0.75' : '0' }),
      };
    }
    const [, word, number] = /(right|wrong) (\d+)/.exec(field(text, 'question')) ?? [];
    return { kind: 'text', text: chat({ answer: word === 'right' ? `The N${number}!` : 'who knows' }), delayMs };
  };
}

/** An example for `question -> answer`. */
export const row = (question: string, answer: string, more: JsonObject = {}): JsonObject => ({
  inputs: { question },
  outputs: { answer },
  split: 'test',
  ...more,
});

/** A stack with a model that knows some answers, a dataset of four examples of which it knows three, and what tests of evaluations do. */
export type Evaluating = {
  readonly stack: Stack;
  readonly lm: ScriptedLm;
  /** How long an answer takes; 0 at the beginning of each test. */
  delayMs: number;
  /** Slugs. */
  readonly program: string;
  readonly dataset: string;
  /** Makes a program that answers questions, READY; gives its slug. */
  readyQa(fields?: JsonObject): Promise<string>;
  /** Makes a dataset of these rows; gives its slug. */
  filled(rows: readonly JsonObject[], signatureSpec?: string): Promise<string>;
  begin(body?: JsonObject, of?: string): Promise<JsonObject>;
  /** The evaluation once it has ended. */
  ended(id: unknown): Promise<JsonObject>;
  evaluate(body?: JsonObject, of?: string): Promise<JsonObject>;
  resultsOf(id: unknown, query?: string): Promise<JsonObject[]>;
};

/** Gives a test file one; it stands from before the first test to after the last one. The names `polite` and `moody` are metrics. */
export function useEvaluating(): Evaluating {
  let folder: string;
  const used = {
    delayMs: 0,
    async readyQa(fields: JsonObject = {}) {
      const given = { adapterType: 'python_port', signatureSpec: 'question -> answer', ...fields };
      return String((await readyProgram(used.stack, given)).slug);
    },
    async filled(rows: readonly JsonObject[], signatureSpec = 'question -> answer') {
      const name = uniqueName('data');
      demand(await used.stack.http.post('/v1/datasets', { name, slug: name, signatureSpec }), 201);
      const text = rows.map((each) => JSON.stringify(each)).join('\n');
      const headers = { 'content-type': 'application/x-ndjson' };
      demand(await used.stack.http.post(`/v1/datasets/${name}/examples:import`, text, { headers }), 201);
      return name;
    },
    async begin(body: JsonObject = {}, of = used.program) {
      const asked = { dataset: used.dataset, metric: { kind: 'exact_match' }, ...body };
      return demand(await used.stack.http.post(`/v1/programs/${of}:evaluate`, asked), 202);
    },
    ended: (id: unknown) =>
      eventually(async () => {
        const found = demand(await used.stack.http.get(`/v1/evaluations/${id}`), 200);
        expect(['COMPLETED', 'FAILED', 'CANCELLED'].map((word) => `EVALUATION_STATUS_${word}`)).toContain(found.status);
        return found;
      }, 25_000),
    evaluate: async (body: JsonObject = {}, of = used.program) => used.ended((await used.begin(body, of)).id),
    resultsOf: async (id: unknown, query = '') =>
      demand(await used.stack.http.get(`/v1/evaluations/${id}/results${query}`), 200).results as JsonObject[],
  } as { -readonly [Key in keyof Evaluating]: Evaluating[Key] };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'signet-metrics-'));
    await writeFile(join(folder, 'own_metrics.py'), metrics);
    used.lm = await startScriptedLm({ behaviour: (request) => answers(used.delayMs)(request) });
    const listed = ['polite', 'moody'].map((name) => `${name}=own_metrics:${name}`).join(',');
    const env = { SIGNET_PYTHON_PATH: folder, SIGNET_PYTHON_MODULES: listed, SIGNET_SIDECAR_WORKERS: '1' };
    used.stack = await startStack({ engines: 'python', lm: used.lm.url, envOf: { sidecar: env } });
    used.program = await used.readyQa();
    used.dataset = await used.filled([1, 2, 3].map((n) => row(`right ${n}`, `n${n}`)).concat(row('wrong 4', 'n4')));
  });
  afterAll(async () => {
    await used.stack?.close();
    await used.lm?.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    used.lm.reset();
    used.delayMs = 0;
  });
  return used;
}
