import { describe, expect, it } from 'vitest';
import { chat, field, row, said, useEvaluating } from '../support/evaluating.ts';
import type { JsonObject } from '../support/http.ts';
import { demand, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`evaluations are left out: ${missing}`);

describe.skipIf(missing !== undefined)('evaluations', () => {
  const used = useEvaluating();

  it.each(['python', 'native'])('EvaluateProgram measures a version on a dataset, by the %s engine', async (engine) => {
    const answer = await used.stack.http.post(`/v1/programs/${used.program}:evaluate`, {
      dataset: used.dataset,
      splits: ['test'],
      metric: { kind: 'exact_match', field: 'answer' },
      executionOptions: { engine },
      labels: { reason: 'first' },
    });
    const begun = demand(answer, 202);
    expect(answer.headers.location).toBe(`/v1/evaluations/${begun.id}`);
    const evaluation = await used.ended(begun.id);
    expect(evaluation).toMatchObject({
      program: used.program,
      dataset: used.dataset,
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
    expect(used.lm.calls).toBe(4);
    const results = await used.resultsOf(begun.id, '?payloads=true');
    expect(results.map(({ score, inputs, outputs }) => [score, inputs, outputs])).toEqual([
      [1, { question: 'right 1' }, { answer: 'The N1!' }],
      [1, { question: 'right 2' }, { answer: 'The N2!' }],
      [1, { question: 'right 3' }, { answer: 'The N3!' }],
      [0, { question: 'wrong 4' }, { answer: 'who knows' }],
    ]);
    const execution = demand(await used.stack.http.get(`/v1/executions/${results[0]!.executionId}`), 200);
    expect(execution).toMatchObject({ labels: { evaluation: begun.id }, version: 1, detached: true });
  });

  it('WatchEvaluation tells how far it is until it has ended', async () => {
    used.delayMs = 150;
    const { id } = await used.begin({ concurrency: 1 });
    const stream = await used.stack.sse(`/v1/evaluations/${id}:watch`);
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
    const evaluation = await used.evaluate({ metric });
    expect(evaluation).toMatchObject({ resultCount: '4', errorCount: '0' });
    const summary = evaluation.summary as JsonObject;
    expect(summary).toMatchObject({ mean: 0.5625, ciMethod: 't' });
    expect(Number(summary.metricTokens)).toBeGreaterThan(0);
    const asked = used.lm.requests.map(said).filter((text) => text.includes('[[ ## criteria ## ]]'));
    expect(asked).toHaveLength(4);
    expect(asked[0]).toContain('It names somebody.');
    expect(field(asked.find((text) => text.includes('right 2'))!, 'expected')).toBe('{"answer":"n2"}');
    const results = await used.resultsOf(evaluation.id, '?order_by=score');
    expect(results.map(({ score }) => score)).toEqual([0, 0.75, 0.75, 0.75]);
    expect(results[1]!.feedback).toContain('seen {"answer":');
  });

  it('takes metrics of DSPy and of the allow-list', async () => {
    const exact = await used.evaluate({ metric: { kind: 'dspy', name: 'answer_exact_match' } });
    expect(exact).toMatchObject({ errorCount: '0', summary: { mean: 0.75 } });
    const polite = await used.evaluate({ metric: { kind: 'python', name: 'polite' } });
    expect(polite).toMatchObject({ errorCount: '0', summary: { mean: 0.25 } });
    expect((await used.resultsOf(polite.id))[0]).toMatchObject({ feedback: 'right 1 -> The N1!' });
  });

  it('CompareEvaluations says which examples changed, and how sure that is', async () => {
    const rows = [1, 2, 3, 4, 5, 6].map((n) => row(`${n < 3 ? 'right' : 'wrong'} ${n}`, `n${n}`));
    const own = await used.filled(rows);
    const other = await used.readyQa({ configuration: { instructions: 'Answer right.' } });
    const first = await used.evaluate({ dataset: own });
    const second = await used.evaluate({ dataset: own }, other);
    const worse = await used.filled(rows.map((each) => ({ ...each, outputs: { answer: 'who knows' } })));
    const same = demand(await used.stack.http.get(`/v1/evaluations:compare?a=${first.id}&b=${second.id}`), 200);
    expect(same).toMatchObject({ pairCount: '6', difference: 0, pValue: 1, equalCount: '6', changes: [] });
    const refused = await used.stack.http.get(
      `/v1/evaluations:compare?a=${first.id}&b=${(await used.evaluate({ dataset: worse, metric: { kind: 'f1' } })).id}`,
    );
    expect(refused.status).toBe(400);
    const differ = (refused.body.violations as JsonObject[]).map(({ field: name }) => name);
    expect(differ).toEqual(['dataset', 'metric']);
    used.lm.enqueue({ kind: 'text', text: chat({ answer: 'lost' }) });
    const third = await used.evaluate({ dataset: own, concurrency: 1 });
    const changed = demand(await used.stack.http.get(`/v1/evaluations:compare?a=${first.id}&b=${third.id}`), 200);
    expect(changed).toMatchObject({ worseCount: '1', betterCount: '0', equalCount: '5', pValue: 1 });
    expect(changed.difference).toBeCloseTo(-1 / 6);
    const [change] = changed.changes as JsonObject[];
    expect(change).toMatchObject({ scoreA: 1, scoreB: 0 });
    const executions = await Promise.all(
      [change!.executionA, change!.executionB].map(
        async (id) => (await used.stack.http.get(`/v1/executions/${id}`)).body,
      ),
    );
    expect(executions.map(({ outputs }) => outputs)).toEqual([{ answer: 'The N1!' }, { answer: 'lost' }]);
  });

  describe('by weight', () => {
    const figures = ({ summary }: JsonObject): unknown[] => {
      const { mean, ciLow, ciHigh, ciMethod, standardDeviation } = summary as JsonObject;
      return [mean, ciLow, ciHigh, ciMethod, standardDeviation];
    };
    const rows = (weights: readonly number[]): JsonObject[] =>
      weights.map((weight, at) => row(`${at === 0 ? 'wrong' : 'right'} ${at + 1}`, `n${at + 1}`, { weight }));
    const judge = { kind: 'lm_judge' };

    it('counts a score as much as its example weighs, in the mean and in how sure it is', async () => {
      const own = await used.filled(rows([8, 1, 1]));
      const evaluation = await used.evaluate({ dataset: own });
      const summary = evaluation.summary as JsonObject;
      expect(summary).toMatchObject({ mean: 0.2, ciMethod: 'wilson' });
      expect(summary.effectiveCount).toBeCloseTo(100 / 66);
      expect([summary.ciLow, summary.ciHigh].map((end) => Number(end).toFixed(3))).toEqual(['0.014', '0.816']);
      expect((await used.resultsOf(evaluation.id)).map(({ score, weight }) => [score, weight])).toEqual([
        [0, 8],
        [1, 1],
        [1, 1],
      ]);
      const judged = (await used.evaluate({ dataset: own, metric: judge })).summary as JsonObject;
      expect(judged).toMatchObject({ ciMethod: 't', ciLow: 0, ciHigh: 1 });
      expect(judged.mean).toBeCloseTo(0.15);
      expect(judged.standardDeviation).toBeCloseTo(Math.sqrt((8 * 0.15 ** 2 + 2 * 0.6 ** 2) / (10 - 66 / 10)));
    });

    it('gives for equal weights what it gives without any, to the last digit', async () => {
      const [plain, equal] = [
        await used.filled(rows([1, 1, 1, 1, 1])),
        await used.filled(rows([0.3, 0.3, 0.3, 0.3, 0.3])),
      ];
      for (const metric of [{ kind: 'exact_match' }, judge]) {
        const [one, other] = [
          await used.evaluate({ dataset: plain, metric }),
          await used.evaluate({ dataset: equal, metric }),
        ];
        expect(figures(other)).toEqual(figures(one));
        expect(other.summary).toMatchObject({ effectiveCount: 5 });
      }
    });

    it('compares two versions by the same weights', async () => {
      const own = await used.filled(
        rows([1, 2.5, 1, 1, 1]).map((each, at) =>
          at < 2 ? each : { ...each, inputs: { question: `wrong ${at + 1}` } },
        ),
      );
      const first = await used.evaluate({ dataset: own, concurrency: 1 });
      const said = ['n1', 'lost', 'n3', 'n4', 'n5'];
      used.lm.enqueue(...said.map((answer) => ({ kind: 'text' as const, text: chat({ answer }) })));
      const second = await used.evaluate({ dataset: own, concurrency: 1 });
      const answer = await used.stack.http.get(`/v1/evaluations:compare?a=${first.id}&b=${second.id}`);
      const compared = demand(answer, 200);
      expect(compared).toMatchObject({ pairCount: '5', betterCount: '4', worseCount: '1', pValue: 0.75 });
      expect(compared.meanA).toBeCloseTo(2.5 / 6.5);
      expect(compared.meanB).toBeCloseTo(4 / 6.5);
      expect(compared.difference).toBeCloseTo(1.5 / 6.5);
      expect(Number(compared.ciLow)).toBeCloseTo(-1, 5);
      expect(Number(compared.ciHigh)).toBeCloseTo(1, 5);
    });
  });

  it('ListEvaluations, GetEvaluation and ListEvaluationResults read in pages and by filter', async () => {
    const own = await used.readyQa();
    const first = await used.evaluate({}, own);
    const second = await used.evaluate({ splits: ['test'], metric: { kind: 'f1' } }, own);
    const page = demand(await used.stack.http.get(`/v1/programs/${own}/evaluations?page_size=1`), 200);
    expect((page.evaluations as JsonObject[]).map(({ id }) => id)).toEqual([second.id]);
    const token = encodeURIComponent(String(page.nextPageToken));
    const rest = demand(
      await used.stack.http.get(`/v1/programs/${own}/evaluations?page_size=1&page_token=${token}`),
      200,
    );
    expect(rest).toMatchObject({ evaluations: [{ id: first.id }], nextPageToken: '' });
    const filter = encodeURIComponent(`program = "${own}" AND status = completed AND mean >= 0.7`);
    const found = demand(await used.stack.http.get(`/v1/evaluations?filter=${filter}`), 200)
      .evaluations as JsonObject[];
    expect(found.map(({ id }) => id)).toContain(first.id);
    const seen: JsonObject[] = [];
    for (let next = ''; ; ) {
      const query = `?page_size=3&order_by=score%20desc&page_token=${encodeURIComponent(next)}`;
      const results = demand(await used.stack.http.get(`/v1/evaluations/${first.id}/results${query}`), 200);
      seen.push(...(results.results as JsonObject[]));
      next = String(results.nextPageToken);
      if (next === '') break;
    }
    expect(seen.map(({ score }) => score)).toEqual([1, 1, 1, 0]);
    expect(new Set(seen.map(({ exampleId }) => exampleId)).size).toBe(4);
  });

  it('answers a repeated request with the first evaluation', async () => {
    const body = { dataset: used.dataset, metric: { kind: 'f1' }, requestId: uniqueName('once') };
    const [one, two] = await Promise.all([used.begin(body), used.begin(body)]);
    expect(one.id).toBe(two.id);
    await used.ended(one.id);
    const other = await used.stack.http.post(`/v1/programs/${used.program}:evaluate`, {
      ...body,
      metric: { kind: 'exact_match' },
    });
    expect(other.status).toBe(422);
  });

  it('measures a pipeline as it measures any program', async () => {
    const module = uniqueName('answers');
    const fields = { name: module, type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'question -> answer' };
    demand(await used.stack.http.post('/v1/modules', fields), 201);
    const step = { id: 'ask', type: 'module', module, input: { question: { $ref: 'input.question' } } };
    const pipelineSpec = { inputs: 'question: str', steps: [step], return: { answer: { $ref: 'steps.ask.answer' } } };
    const body = { name: uniqueName('pipeline'), adapterType: 'python_port', modules: [module], pipelineSpec };
    const { slug } = demand(await used.stack.http.post('/v1/programs:compose', body), 201);
    demand(await used.stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    const evaluation = await used.evaluate({ metric: { kind: 'exact_match', field: 'answer' } }, String(slug));
    expect(evaluation).toMatchObject({ resultCount: '4', errorCount: '0', summary: { mean: 0.75 } });
    expect(used.lm.calls).toBe(4);
  });
});
