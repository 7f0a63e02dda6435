import { eventually } from '@signet/kit/testing/eventually.ts';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { knowsByDemos, useOptimizing } from '../support/optimizing.ts';
import { demand, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import type { Behaviour } from '../support/scripted-lm.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`refusals of the loop of improvement are left out: ${missing}`);

describe.skipIf(missing !== undefined)('what the loop of improvement refuses', { timeout: 120_000 }, () => {
  const used = useOptimizing();
  const fieldsOf = (body: JsonObject) => ((body.violations ?? []) as JsonObject[]).map(({ field }) => field);
  const datasets = async () => demand(await used.stack.http.get('/v1/datasets?pageSize=1000'), 200).datasets;

  it('OPT-02 names rows of a request by their place, and keeps no dataset of a job that is refused', async () => {
    const program = await used.readyQa();
    const before = await datasets();
    const ask = (body: JsonObject) =>
      used.stack.http.post(`/v1/programs/${program}:optimize`, { type: 'bootstrap', ...body });
    const right = { question: 'q 1', answer: 'N1' };
    const refused = await ask({ trainingData: [right, { question: 7 }], validationData: [{ colour: 'red' }] });
    expect([refused.status, refused.body.reason]).toEqual([400, 'INVALID_REQUEST']);
    expect(fieldsOf(refused.body)).toEqual([
      ...['trainingData[1].question', 'validationData[0].question', 'validationData[0].colour'],
    ]);
    expect((await ask({ trainingData: [right] })).status).toBe(400);
    expect(
      (await ask({ trainingData: [right], validationData: [right], metric: { kind: 'f1', field: 'x' } })).status,
    ).toBe(400);
    expect(await datasets()).toEqual(before);
  });

  it('refuses a dataset of another program, to measure on and to learn from', async () => {
    const program = await used.readyQa({ signatureSpec: 'mail -> answer' });
    const metric = { kind: 'exact_match' };
    const asked = { dataset: used.dataset, metric };
    const measured = await used.stack.http.post(`/v1/programs/${program}:evaluate`, asked);
    const learned = await used.stack.http.post(`/v1/programs/${program}:optimize`, { type: 'bootstrap', ...asked });
    for (const { status, body } of [measured, learned]) {
      expect([status, fieldsOf(body), body.detail]).toEqual([400, ['dataset'], expect.stringContaining('inputs.')]);
    }
    expect(demand(await used.stack.http.get(`/v1/programs/${program}/evaluations`), 200).evaluations).toEqual([]);
  });

  it('names the field of a metric that Python cannot run', async () => {
    const program = await used.readyQa();
    const ask = async (metric: JsonObject) =>
      (await used.stack.http.post(`/v1/programs/${program}:evaluate`, { dataset: used.dataset, metric })).body;
    expect(fieldsOf(await ask({ kind: 'python', name: 'nobody' }))).toEqual(['metric.name']);
    const odd = await ask({ kind: 'dspy', name: 'answer_exact_match', arguments: { luck: 1 } });
    expect([odd.reason, fieldsOf(odd)]).toEqual(['MODULE_INVALID', ['metric.arguments.luck']]);
  });

  it('asks for what must be there by its name', async () => {
    const get = async (path: string) => (await used.stack.http.get(path)).body;
    const post = async (path: string, body: JsonObject) => (await used.stack.http.post(path, body)).body;
    expect(fieldsOf(await get('/v1/evaluations:compare'))).toEqual(['a']);
    expect(fieldsOf(await post('/v1/batches', { dataset: used.dataset }))).toEqual(['program']);
    const program = await used.readyQa();
    expect(fieldsOf(await post('/v1/batches', { program, dataset: used.dataset, datasetVersion: -1 }))).toEqual([
      'datasetVersion',
    ]);
    const labelled = { dataset: used.dataset, metric: { kind: 'f1' }, labels: { evaluation: 'mine' } };
    expect(fieldsOf(await post(`/v1/programs/${program}:evaluate`, labelled))).toEqual(['labels.evaluation']);
    expect(await get(`/v1/programs/${program}/versions/9/statistics`)).toMatchObject({ reason: 'VERSION_NOT_FOUND' });
  });

  it('goes on with a job whose dataset is deleted, and begins none', async () => {
    const name = uniqueName('short-lived');
    demand(await used.stack.http.post('/v1/datasets', { name, slug: name, signatureSpec: 'question -> answer' }), 201);
    const rows = ['train', 'train', 'test'].map((split, n) =>
      JSON.stringify({ question: `q ${n}`, answer: `N${n}`, split }),
    );
    const headers = { 'content-type': 'application/x-ndjson' };
    demand(await used.stack.http.post(`/v1/datasets/${name}/examples:import`, rows.join('\n'), { headers }), 201);
    const program = await used.readyQa();
    used.behaviour = (request) => ({ ...knowsByDemos(request), delayMs: 300 }) as Behaviour;
    const { id, datasetId } = await used.optimize(program, {
      dataset: name,
      type: 'labeled_few_shot',
      config: { k: 2 },
    });
    expect((await used.stack.http.delete(`/v1/datasets/${name}`)).status).toBe(204);
    const job = await used.ended(id);
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', scoreBefore: 0, scoreAfter: 1 });
    await eventually(async () => expect((await used.programOf(program)).status).toBe('PROGRAM_STATUS_READY'));
    const again = await used.stack.http.post(`/v1/programs/${program}:optimize`, {
      type: 'bootstrap',
      dataset: datasetId,
    });
    expect([again.status, again.body.reason]).toEqual([404, 'DATASET_NOT_FOUND']);
  });
});
