import { eventually } from '@signet/kit/testing/eventually.ts';
import { describe, expect, it } from 'vitest';
import { row, said, useEvaluating } from '../support/evaluating.ts';
import type { JsonObject } from '../support/http.ts';
import { demand } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`evaluations are left out: ${missing}`);

describe.skipIf(missing !== undefined)('evaluations of what cannot be measured', () => {
  const used = useEvaluating();

  it('gives 0 and says why where a metric throws, hangs or kills its process, and ends', async () => {
    const evaluation = await used.evaluate({ metric: { kind: 'python', name: 'moody', timeoutMs: '1000' } });
    expect(evaluation).toMatchObject({
      status: 'EVALUATION_STATUS_COMPLETED',
      resultCount: '4',
      errorCount: '3',
      summary: { mean: 0.25 },
    });
    const failed = await used.resultsOf(evaluation.id, `?filter=${encodeURIComponent('phase = metric')}`);
    expect(failed).toMatchObject([
      { score: 0, error: { phase: 'metric', reason: 'METRIC_FAILED', message: 'ValueError: no opinion' } },
      { score: 0, error: { phase: 'metric', reason: 'DEADLINE_EXCEEDED' } },
      { score: 0, error: { phase: 'metric', reason: 'WORKER_LOST' } },
    ]);
    expect(used.lm.calls).toBe(4);
  });

  it('counts examples that lie about types, and executions that fail, as errors', async () => {
    const lying = await used.filled(
      [
        { inputs: { question: 7 }, outputs: { answer: 'n7' } },
        { inputs: { question: 8 }, outputs: { answer: 'n8' } },
      ],
      'question: int -> answer',
    );
    const evaluation = await used.evaluate({ dataset: lying });
    expect(evaluation).toMatchObject({ resultCount: '2', errorCount: '2', summary: { mean: 0, ciMethod: 'wilson' } });
    expect((await used.resultsOf(evaluation.id))[0]).toMatchObject({
      error: { phase: 'execution', reason: 'INPUT_INVALID' },
    });
    expect(used.lm.calls).toBe(0);
    used.lm.enqueue({ kind: 'status', status: 400, message: 'no' });
    const failing = await used.evaluate({ concurrency: 1 });
    expect(failing).toMatchObject({ errorCount: '1', summary: { mean: 0.5 } });
    expect((await used.resultsOf(failing.id))[0]).toMatchObject({ error: { phase: 'execution', reason: 'LM_ERROR' } });
  });

  it('CancelEvaluation ends it with what runs, and keeps the results so far', async () => {
    used.delayMs = 400;
    const many = await used.filled(Array.from({ length: 40 }, (_, n) => row(`right ${n}`, `n${n}`)));
    const { id } = await used.begin({ dataset: many, concurrency: 2 });
    await eventually(async () => {
      const now = demand(await used.stack.http.get(`/v1/evaluations/${id}`), 200);
      expect(Number(now.resultCount)).toBeGreaterThan(1);
    }, 15_000);
    const cancelled = demand(await used.stack.http.post(`/v1/evaluations/${id}:cancel`), 200);
    expect(cancelled).toMatchObject({ status: 'EVALUATION_STATUS_CANCELLED', error: { reason: 'CANCELLED' } });
    const calls = used.lm.calls;
    expect(Number(cancelled.resultCount)).toBeLessThan(40);
    expect((await used.resultsOf(id)).length).toBe(Number(cancelled.resultCount));
    const filter = encodeURIComponent(`labels.evaluation = "${id}" AND status = running`);
    const running = demand(await used.stack.http.get(`/v1/executions?filter=${filter}`), 200);
    expect(running.executions).toEqual([]);
    expect(demand(await used.stack.http.post(`/v1/evaluations/${id}:cancel`), 200).status).toBe(cancelled.status);
    expect(used.lm.calls).toBe(calls);
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
      async () => ({ dataset: await used.filled([{ inputs: { question: 'right 1' } }]) }),
      400,
      'expect no outputs',
    ],
  ])('refuses %s at once', async (_, body, status, words) => {
    const answer = await used.stack.http.post(`/v1/programs/${used.program}:evaluate`, {
      dataset: used.dataset,
      metric: { kind: 'exact_match' },
      ...(await body()),
    });
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)]);
    expect(used.lm.calls).toBe(0);
  });

  it('takes no example whose weight is none, or beyond what counts', async () => {
    const lines = [0, -1, 1e-7, 1e7, 'heavy'].map((weight) => JSON.stringify(row('right 1', 'n1', { weight })));
    const headers = { 'content-type': 'application/x-ndjson' };
    const path = `/v1/datasets/${used.dataset}/examples:import`;
    const refused = await used.stack.http.post(path, lines.join('\n'), { headers });
    expect([refused.status, refused.body.reason]).toEqual([400, 'INVALID_REQUEST']);
    const violations = refused.body.violations as JsonObject[];
    expect(violations.map(({ field, reason }) => `${field} ${reason}`)).toEqual(
      [1, 2, 3, 4, 5].map((line) => `lines[${line}].weight OUT_OF_RANGE`),
    );
  });

  it('goes on behind its last result after its executor was killed, and pays for nothing twice', async () => {
    used.delayMs = 200;
    const many = await used.filled(Array.from({ length: 60 }, (_, n) => row(`right ${n}`, `n${n}`)));
    const { id } = await used.begin({ dataset: many, concurrency: 4, metric: { kind: 'lm_judge' } });
    await eventually(async () => {
      expect(Number(demand(await used.stack.http.get(`/v1/evaluations/${id}`), 200).resultCount)).toBeGreaterThan(15);
    }, 15_000);
    await used.stack.kill('executor');
    await used.stack.restart('executor');
    const evaluation = await eventually(async () => {
      const found = demand(await used.stack.http.get(`/v1/evaluations/${id}`), 200);
      expect(found.status).toBe('EVALUATION_STATUS_COMPLETED');
      return found;
    }, 60_000);
    expect(evaluation).toMatchObject({ resultCount: '60', errorCount: '0', attempts: 2, summary: { mean: 0.75 } });
    // What was under way when it died may have been asked once more: one call for each place.
    const judged = used.lm.requests.filter((request) => said(request).includes('[[ ## criteria ## ]]')).length;
    expect(judged).toBeGreaterThanOrEqual(60);
    expect(used.lm.calls - judged).toBeGreaterThanOrEqual(60);
    expect(used.lm.calls).toBeLessThanOrEqual(124);
    const filter = encodeURIComponent(`labels.evaluation = "${id}"`);
    const made = demand(await used.stack.http.get(`/v1/executions?page_size=200&filter=${filter}`), 200);
    expect((made.executions as JsonObject[]).length).toBe(60);
  }, 90_000);
});
