import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, readyProgram, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type Behaviour, type ScriptedLm, type SeenRequest, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

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

const chat = (fields: Record<string, string>): string =>
  `${Object.entries(fields)
    .map(([name, value]) => `[[ ## ${name} ## ]]\n${value}\n\n`)
    .join('')}[[ ## completed ## ]]`;

const said = ({ body }: SeenRequest): string => String(body.messages?.at(-1)?.content ?? '');
const field = (text: string, name: string): string =>
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

const missing = whyNoPython();
if (missing !== undefined) console.warn(`evaluations are left out: ${missing}`);

describe.skipIf(missing !== undefined)('evaluations', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let folder: string;
  let delayMs = 0;
  let program: string;
  let dataset: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'signet-metrics-'));
    await writeFile(join(folder, 'own_metrics.py'), metrics);
    lm = await startScriptedLm({ behaviour: (request) => answers(delayMs)(request) });
    const listed = ['polite', 'moody'].map((name) => `${name}=own_metrics:${name}`).join(',');
    const env = { SIGNET_PYTHON_PATH: folder, SIGNET_PYTHON_MODULES: listed, SIGNET_SIDECAR_WORKERS: '1' };
    stack = await startStack({ engines: 'python', lm: lm.url, envOf: { sidecar: env } });
    program = await readyQa();
    dataset = await filled([1, 2, 3].map((n) => row(`right ${n}`, `n${n}`)).concat(row('wrong 4', 'n4')));
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    lm.reset();
    delayMs = 0;
  });

  const row = (question: string, answer: string, split = 'test'): JsonObject => ({
    inputs: { question },
    outputs: { answer },
    split,
  });

  async function readyQa(fields: JsonObject = {}): Promise<string> {
    const made = await readyProgram(stack, {
      adapterType: 'python_port',
      signatureSpec: 'question -> answer',
      ...fields,
    });
    return String(made.slug);
  }

  async function filled(rows: readonly JsonObject[], signatureSpec = 'question -> answer'): Promise<string> {
    const name = uniqueName('data');
    demand(await stack.http.post('/v1/datasets', { name, slug: name, signatureSpec }), 201);
    const text = rows.map((each) => JSON.stringify(each)).join('\n');
    const headers = { 'content-type': 'application/x-ndjson' };
    demand(await stack.http.post(`/v1/datasets/${name}/examples:import`, text, { headers }), 201);
    return name;
  }

  const begin = async (body: JsonObject = {}, of = program) =>
    demand(
      await stack.http.post(`/v1/programs/${of}:evaluate`, { dataset, metric: { kind: 'exact_match' }, ...body }),
      202,
    );
  const ended = async (id: unknown): Promise<JsonObject> =>
    eventually(async () => {
      const found = demand(await stack.http.get(`/v1/evaluations/${id}`), 200);
      expect(['COMPLETED', 'FAILED', 'CANCELLED'].map((word) => `EVALUATION_STATUS_${word}`)).toContain(found.status);
      return found;
    }, 25_000);
  const evaluate = async (body: JsonObject = {}, of = program) => ended((await begin(body, of)).id);
  const resultsOf = async (id: unknown, query = ''): Promise<JsonObject[]> =>
    demand(await stack.http.get(`/v1/evaluations/${id}/results${query}`), 200).results as JsonObject[];

  it.each(['python', 'native'])('EvaluateProgram measures a version on a dataset, by the %s engine', async (engine) => {
    const answer = await stack.http.post(`/v1/programs/${program}:evaluate`, {
      dataset,
      splits: ['test'],
      metric: { kind: 'exact_match', field: 'answer' },
      executionOptions: { engine },
      labels: { reason: 'first' },
    });
    const begun = demand(answer, 202);
    expect(answer.headers.location).toBe(`/v1/evaluations/${begun.id}`);
    const evaluation = await ended(begun.id);
    expect(evaluation).toMatchObject({
      program,
      dataset,
      version: 1,
      datasetVersion: 1,
      splits: ['SPLIT_TEST'],
      status: 'EVALUATION_STATUS_COMPLETED',
      exampleCount: '4',
      resultCount: '4',
      errorCount: '0',
      attempts: 1,
      labels: { reason: 'first' },
      summary: { mean: 0.75, ciMethod: 'wilson' },
    });
    const summary = evaluation.summary as JsonObject;
    expect(summary.ciLow).toBeCloseTo(0.3006, 3);
    expect(summary.ciHigh).toBeCloseTo(0.9544, 3);
    expect(Number(summary.latencyP95Ms)).toBeGreaterThanOrEqual(Number(summary.latencyP50Ms));
    expect(lm.calls).toBe(4);
    const results = await resultsOf(begun.id, '?payloads=true');
    expect(results.map(({ score, inputs, outputs }) => [score, inputs, outputs])).toEqual([
      [1, { question: 'right 1' }, { answer: 'The N1!' }],
      [1, { question: 'right 2' }, { answer: 'The N2!' }],
      [1, { question: 'right 3' }, { answer: 'The N3!' }],
      [0, { question: 'wrong 4' }, { answer: 'who knows' }],
    ]);
    const execution = demand(await stack.http.get(`/v1/executions/${results[0]!.executionId}`), 200);
    expect(execution).toMatchObject({ labels: { evaluation: begun.id }, version: 1, detached: true });
  });

  it('WatchEvaluation tells how far it is until it has ended', async () => {
    delayMs = 150;
    const { id } = await begin({ concurrency: 1 });
    const stream = await stack.sse(`/v1/evaluations/${id}:watch`);
    const seen: JsonObject[] = [];
    for await (const { data } of stream.events) seen.push(data);
    const last = seen.at(-1)!;
    expect(seen.length).toBeGreaterThan(1);
    expect(last).toMatchObject({ status: 'EVALUATION_STATUS_COMPLETED', resultCount: '4', summary: { mean: 0.75 } });
    const counts = seen.map(({ resultCount }) => Number(resultCount));
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
  });

  it('has a language model judge the answers, by a prompt of its own', async () => {
    const metric = { kind: 'lm_judge', instructions: 'It names somebody.', field: 'answer' };
    const evaluation = await evaluate({ metric });
    expect(evaluation).toMatchObject({ resultCount: '4', errorCount: '0' });
    const summary = evaluation.summary as JsonObject;
    expect(summary).toMatchObject({ mean: 0.5625, ciMethod: 't' });
    expect(Number(summary.metricTokens)).toBeGreaterThan(0);
    const asked = lm.requests.map(said).filter((text) => text.includes('[[ ## criteria ## ]]'));
    expect(asked).toHaveLength(4);
    expect(asked[0]).toContain('It names somebody.');
    expect(field(asked.find((text) => text.includes('right 2'))!, 'expected')).toBe('{"answer":"n2"}');
    const results = await resultsOf(evaluation.id, '?order_by=score');
    expect(results.map(({ score }) => score)).toEqual([0, 0.75, 0.75, 0.75]);
    expect(results[1]!.feedback).toContain('seen {"answer":');
  });

  it('takes metrics of DSPy and of the allow-list', async () => {
    const exact = await evaluate({ metric: { kind: 'dspy', name: 'answer_exact_match' } });
    expect(exact).toMatchObject({ errorCount: '0', summary: { mean: 0.75 } });
    const polite = await evaluate({ metric: { kind: 'python', name: 'polite' } });
    expect(polite).toMatchObject({ errorCount: '0', summary: { mean: 0.25 } });
    expect((await resultsOf(polite.id))[0]).toMatchObject({ feedback: 'right 1 -> The N1!' });
  });

  it('gives 0 and says why where a metric throws, hangs or kills its process, and ends', async () => {
    const evaluation = await evaluate({ metric: { kind: 'python', name: 'moody', timeoutMs: '1000' } });
    expect(evaluation).toMatchObject({
      status: 'EVALUATION_STATUS_COMPLETED',
      resultCount: '4',
      errorCount: '3',
      summary: { mean: 0.25 },
    });
    const failed = await resultsOf(evaluation.id, `?filter=${encodeURIComponent('phase = metric')}`);
    expect(failed).toMatchObject([
      { score: 0, error: { phase: 'metric', reason: 'METRIC_FAILED', message: 'ValueError: no opinion' } },
      { score: 0, error: { phase: 'metric', reason: 'DEADLINE_EXCEEDED' } },
      { score: 0, error: { phase: 'metric', reason: 'WORKER_LOST' } },
    ]);
    expect(lm.calls).toBe(4);
  });

  it('counts examples that lie about types, and executions that fail, as errors', async () => {
    const lying = await filled(
      [
        { inputs: { question: 7 }, outputs: { answer: 'n7' } },
        { inputs: { question: 8 }, outputs: { answer: 'n8' } },
      ],
      'question: int -> answer',
    );
    const evaluation = await evaluate({ dataset: lying });
    expect(evaluation).toMatchObject({ resultCount: '2', errorCount: '2', summary: { mean: 0, ciMethod: 'wilson' } });
    expect((await resultsOf(evaluation.id))[0]).toMatchObject({
      error: { phase: 'execution', reason: 'INPUT_INVALID' },
    });
    expect(lm.calls).toBe(0);
    lm.enqueue({ kind: 'status', status: 400, message: 'no' });
    const failing = await evaluate({ concurrency: 1 });
    expect(failing).toMatchObject({ errorCount: '1', summary: { mean: 0.5 } });
    expect((await resultsOf(failing.id))[0]).toMatchObject({ error: { phase: 'execution', reason: 'LM_ERROR' } });
  });

  it('CompareEvaluations says which examples changed, and how sure that is', async () => {
    const rows = [1, 2, 3, 4, 5, 6].map((n) => row(`${n < 3 ? 'right' : 'wrong'} ${n}`, `n${n}`));
    const own = await filled(rows);
    const other = await readyQa({ configuration: { instructions: 'Answer right.' } });
    const first = await evaluate({ dataset: own });
    const second = await evaluate({ dataset: own }, other);
    const worse = await filled(rows.map((each) => ({ ...each, outputs: { answer: 'who knows' } })));
    const same = demand(await stack.http.get(`/v1/evaluations:compare?a=${first.id}&b=${second.id}`), 200);
    expect(same).toMatchObject({ pairCount: '6', difference: 0, pValue: 1, equalCount: '6', changes: [] });
    const refused = await stack.http.get(
      `/v1/evaluations:compare?a=${first.id}&b=${(await evaluate({ dataset: worse, metric: { kind: 'f1' } })).id}`,
    );
    expect(refused.status).toBe(400);
    const differ = (refused.body.violations as JsonObject[]).map(({ field: name }) => name);
    expect(differ).toEqual(['dataset', 'metric']);
    lm.enqueue({ kind: 'text', text: chat({ answer: 'lost' }) });
    const third = await evaluate({ dataset: own, concurrency: 1 });
    const changed = demand(await stack.http.get(`/v1/evaluations:compare?a=${first.id}&b=${third.id}`), 200);
    expect(changed).toMatchObject({ worseCount: '1', betterCount: '0', equalCount: '5', pValue: 1 });
    expect(changed.difference).toBeCloseTo(-1 / 6);
    const [change] = changed.changes as JsonObject[];
    expect(change).toMatchObject({ scoreA: 1, scoreB: 0 });
    const executions = await Promise.all(
      [change!.executionA, change!.executionB].map(async (id) => (await stack.http.get(`/v1/executions/${id}`)).body),
    );
    expect(executions.map(({ outputs }) => outputs)).toEqual([{ answer: 'The N1!' }, { answer: 'lost' }]);
  });

  it('CancelEvaluation ends it with what runs, and keeps the results so far', async () => {
    delayMs = 400;
    const many = await filled(Array.from({ length: 40 }, (_, n) => row(`right ${n}`, `n${n}`)));
    const { id } = await begin({ dataset: many, concurrency: 2 });
    await eventually(async () => {
      const now = demand(await stack.http.get(`/v1/evaluations/${id}`), 200);
      expect(Number(now.resultCount)).toBeGreaterThan(1);
    }, 15_000);
    const cancelled = demand(await stack.http.post(`/v1/evaluations/${id}:cancel`), 200);
    expect(cancelled).toMatchObject({ status: 'EVALUATION_STATUS_CANCELLED', error: { reason: 'CANCELLED' } });
    const calls = lm.calls;
    expect(Number(cancelled.resultCount)).toBeLessThan(40);
    expect((await resultsOf(id)).length).toBe(Number(cancelled.resultCount));
    const filter = encodeURIComponent(`labels.evaluation = "${id}" AND status = running`);
    const running = demand(await stack.http.get(`/v1/executions?filter=${filter}`), 200);
    expect(running.executions).toEqual([]);
    expect(demand(await stack.http.post(`/v1/evaluations/${id}:cancel`), 200).status).toBe(cancelled.status);
    expect(lm.calls).toBe(calls);
  });

  it('ListEvaluations, GetEvaluation and ListEvaluationResults read in pages and by filter', async () => {
    const own = await readyQa();
    const first = await evaluate({}, own);
    const second = await evaluate({ splits: ['test'], metric: { kind: 'f1' } }, own);
    const page = demand(await stack.http.get(`/v1/programs/${own}/evaluations?page_size=1`), 200);
    expect((page.evaluations as JsonObject[]).map(({ id }) => id)).toEqual([second.id]);
    const token = encodeURIComponent(String(page.nextPageToken));
    const rest = demand(await stack.http.get(`/v1/programs/${own}/evaluations?page_size=1&page_token=${token}`), 200);
    expect(rest).toMatchObject({ evaluations: [{ id: first.id }], nextPageToken: '' });
    const filter = encodeURIComponent(`program = "${own}" AND status = completed AND mean >= 0.7`);
    const found = demand(await stack.http.get(`/v1/evaluations?filter=${filter}`), 200).evaluations as JsonObject[];
    expect(found.map(({ id }) => id)).toContain(first.id);
    const seen: JsonObject[] = [];
    for (let next = ''; ; ) {
      const query = `?page_size=3&order_by=score%20desc&page_token=${encodeURIComponent(next)}`;
      const results = demand(await stack.http.get(`/v1/evaluations/${first.id}/results${query}`), 200);
      seen.push(...(results.results as JsonObject[]));
      next = String(results.nextPageToken);
      if (next === '') break;
    }
    expect(seen.map(({ score }) => score)).toEqual([1, 1, 1, 0]);
    expect(new Set(seen.map(({ exampleId }) => exampleId)).size).toBe(4);
  });

  it('answers a repeated request with the first evaluation', async () => {
    const body = { dataset, metric: { kind: 'f1' }, requestId: uniqueName('once') };
    const [one, two] = await Promise.all([begin(body), begin(body)]);
    expect(one.id).toBe(two.id);
    await ended(one.id);
    const other = await stack.http.post(`/v1/programs/${program}:evaluate`, {
      ...body,
      metric: { kind: 'exact_match' },
    });
    expect(other.status).toBe(422);
  });

  it.each<[string, () => Promise<object> | object, number, string]>([
    ['no metric', () => ({ metric: undefined }), 400, 'metric'],
    ['a metric of no kind', () => ({ metric: { field: 'answer' } }), 400, 'metric.kind'],
    ['an unknown dataset', () => ({ dataset: 'nowhere' }), 404, 'DATASET_NOT_FOUND'],
    ['an unknown version of it', () => ({ datasetVersion: 9 }), 404, 'VERSION_NOT_FOUND'],
    ['an unknown version of the program', () => ({ version: 9 }), 404, 'VERSION_NOT_FOUND'],
    ['a split without examples', () => ({ splits: ['train'] }), 400, 'no examples in train'],
    ['a field that the program does not give', () => ({ metric: { kind: 'f1', field: 'reply' } }), 400, 'metric.field'],
    [
      'a field that the examples do not expect',
      () => ({ metric: { kind: 'f1', expectedField: 'x' } }),
      400,
      'expected_field',
    ],
    [
      'a metric that is not on the allow-list',
      () => ({ metric: { kind: 'python', name: 'os.system' } }),
      400,
      'SIGNET_PYTHON_MODULES',
    ],
    ['a metric that DSPy does not have', () => ({ metric: { kind: 'dspy', name: 'os.system' } }), 400, 'metric.name'],
    ['an unknown judge', () => ({ metric: { kind: 'lm_judge', lm: 'nobody' } }), 404, 'LM_NOT_FOUND'],
    ['too many at once', () => ({ concurrency: 65 }), 400, 'concurrency'],
    ['a shadow', () => ({ executionOptions: { shadow: 'native' } }), 400, 'execution_options.shadow'],
    ['a time that is none', () => ({ metric: { kind: 'f1', timeoutMs: '-1' } }), 400, 'metric.timeout_ms'],
    [
      'examples that expect nothing',
      async () => ({ dataset: await filled([{ inputs: { question: 'right 1' } }]) }),
      400,
      'expect no outputs',
    ],
  ])('refuses %s at once', async (_, body, status, words) => {
    const answer = await stack.http.post(`/v1/programs/${program}:evaluate`, {
      dataset,
      metric: { kind: 'exact_match' },
      ...(await body()),
    });
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)]);
    expect(lm.calls).toBe(0);
  });

  it('measures a pipeline as it measures any program', async () => {
    const module = uniqueName('answers');
    const fields = { name: module, type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'question -> answer' };
    demand(await stack.http.post('/v1/modules', fields), 201);
    const step = { id: 'ask', type: 'module', module, input: { question: { $ref: 'input.question' } } };
    const pipelineSpec = { inputs: 'question: str', steps: [step], return: { answer: { $ref: 'steps.ask.answer' } } };
    const body = { name: uniqueName('pipeline'), adapterType: 'python_port', modules: [module], pipelineSpec };
    const { slug } = demand(await stack.http.post('/v1/programs:compose', body), 201);
    demand(await stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    const evaluation = await evaluate({ metric: { kind: 'exact_match', field: 'answer' } }, String(slug));
    expect(evaluation).toMatchObject({ resultCount: '4', errorCount: '0', summary: { mean: 0.75 } });
    expect(lm.calls).toBe(4);
  });

  it('goes on behind its last result after its executor was killed, and pays for nothing twice', async () => {
    delayMs = 200;
    const many = await filled(Array.from({ length: 60 }, (_, n) => row(`right ${n}`, `n${n}`)));
    const { id } = await begin({ dataset: many, concurrency: 4, metric: { kind: 'lm_judge' } });
    await eventually(async () => {
      expect(Number(demand(await stack.http.get(`/v1/evaluations/${id}`), 200).resultCount)).toBeGreaterThan(15);
    }, 15_000);
    await stack.kill('executor');
    await stack.restart('executor');
    const evaluation = await eventually(async () => {
      const found = demand(await stack.http.get(`/v1/evaluations/${id}`), 200);
      expect(found.status).toBe('EVALUATION_STATUS_COMPLETED');
      return found;
    }, 60_000);
    expect(evaluation).toMatchObject({ resultCount: '60', errorCount: '0', attempts: 2, summary: { mean: 0.75 } });
    // What was under way when it died may have been asked once more: one call for each place.
    const judged = lm.requests.filter((request) => said(request).includes('[[ ## criteria ## ]]')).length;
    expect(judged).toBeGreaterThanOrEqual(60);
    expect(lm.calls - judged).toBeGreaterThanOrEqual(60);
    expect(lm.calls).toBeLessThanOrEqual(124);
    const filter = encodeURIComponent(`labels.evaluation = "${id}"`);
    const made = demand(await stack.http.get(`/v1/executions?page_size=200&filter=${filter}`), 200);
    expect((made.executions as JsonObject[]).length).toBe(60);
  }, 90_000);
});
