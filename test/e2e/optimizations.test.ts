import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { knowsByDemos, useOptimizing } from '../support/optimizing.ts';
import { demand, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import type { Behaviour } from '../support/scripted-lm.ts';
import type { SseEvent } from '../support/sse.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`optimizations are left out: ${missing}`);

describe.skipIf(missing !== undefined)('optimizations', { timeout: 120_000 }, () => {
  const used = useOptimizing();
  const watched = async (path: string, headers: Record<string, string> = {}) => {
    const events: SseEvent[] = [];
    for await (const event of (await used.stack.sse(path, undefined, { headers })).events) events.push(event);
    return events;
  };

  it('OPT-02 OPT-03 OPT-04 PRG-23 makes a better version out of a job, with lineage, history and variables, and READY again', async () => {
    const program = await used.readyQa();
    const begun = await used.optimize(program, { type: 'labeled_few_shot', config: { k: 3 } });
    expect(begun).toMatchObject({ program, status: 'OPTIMIZATION_STATUS_QUEUED', baseVersion: 1 });
    expect((await used.programOf(program)).status).toBe('PROGRAM_STATUS_OPTIMIZING');
    const job = await used.ended(begun.id);
    expect(job).toMatchObject({
      status: 'OPTIMIZATION_STATUS_COMPLETED',
      scoreBefore: 0,
      scoreAfter: 1,
      resultVersion: 2,
    });
    const after = await used.programOf(program);
    expect(after).toMatchObject({ status: 'PROGRAM_STATUS_READY', servingVersion: 1, latestVersion: 2 });
    expect(after.variables).toMatchObject({ demo_count: 3 });
    expect((after.optimizationHistory as JsonObject[])[0]).toMatchObject({
      ...{ job_id: job.id, status: 'completed', optimizer_type: 'labeled_few_shot', version: 2 },
      ...{ score_before: 0, score_after: 1, config: { k: 3 } },
    });
    const version = demand(await used.stack.http.get(`/v1/programs/${program}/versions/2`), 200);
    expect(version).toMatchObject({ source: 'optimize', parentVersion: 1, serving: false });
    expect(version.lineage).toMatchObject({
      jobId: job.id,
      optimizerType: 'labeled_few_shot',
      scoreBefore: 0,
      scoreAfter: 1,
    });
  });

  it('POL-02 PRG-20 refuses a program that is not active, and one that a job has already', async () => {
    const draft = demand(
      await used.stack.http.post('/v1/programs', { name: 'draft', signatureSpec: 'question -> answer' }),
      201,
    );
    const refused = await used.stack.http.post(`/v1/programs/${draft.slug}:optimize`, {
      dataset: used.dataset,
      type: 'bootstrap',
    });
    expect(refused.body).toMatchObject({
      ...{ status: 409, reason: 'STATE_FORBIDS', detail: 'Program must be active to optimize (status: draft)' },
    });
    const program = await used.readyQa();
    used.behaviour = () => ({ kind: 'silence' });
    const asked = await Promise.all(
      [1, 2, 3].map(() =>
        used.stack.http.post(`/v1/programs/${program}:optimize`, { dataset: used.dataset, type: 'labeled_few_shot' }),
      ),
    );
    expect(asked.map(({ status }) => status).toSorted()).toEqual([202, 409, 409]);
    const lost = asked.filter(({ status }) => status === 409).map(({ body }) => body.detail);
    expect(new Set(lost)).toEqual(new Set(['Program must be active to optimize (status: optimizing)']));
    const job = asked.find(({ status }) => status === 202)!.body;
    demand(await used.stack.http.post(`/v1/optimizationJobs/${job.id}:cancel`, {}), 200);
    expect((await used.ended(job.id)).status).toBe('OPTIMIZATION_STATUS_CANCELLED');
  });

  it('C-18 takes what a request leaves out from the program and its optimizer, once for a request id', async () => {
    const made = demand(
      await used.stack.http.post('/v1/optimizers', {
        ...{ name: uniqueName('few'), type: 'labeled_few_shot' },
        config: { k: 2, dataset: used.dataset, test_splits: ['validation'], budget: { lm_calls: 7 }, seed: 3 },
      }),
      201,
    );
    const program = await used.readyQa({ optimizer: String(made.slug) });
    const headers = { 'idempotency-key': uniqueName('once') };
    const ask = () => used.stack.http.post(`/v1/programs/${program}:optimize`, {}, { headers });
    const first = demand(await ask(), 202);
    const job = await used.ended(first.id);
    expect(job).toMatchObject({
      ...{ optimizerId: made.id, type: 'OPTIMIZER_TYPE_LABELED_FEW_SHOT', config: { k: 2 }, seed: '3' },
      splits: { train: ['SPLIT_TRAIN'], validation: ['SPLIT_VALIDATION'], test: ['SPLIT_VALIDATION'] },
      ...{ budget: { lmCalls: '7' }, status: 'OPTIMIZATION_STATUS_COMPLETED', scoreAfter: 1 },
    });
    expect(demand(await ask(), 202).id).toBe(first.id);
    const { state } = demand(await used.stack.http.get(`/v1/optimizers/${made.id}`), 200);
    expect(state).toMatchObject({ last_job_id: job.id, last_status: 'completed', jobs: 1, last_score_after: 1 });
  });

  it('OPT-02 optimizes by the optimizer with data in the request, of which it holds some out', async () => {
    const made = demand(
      await used.stack.http.post('/v1/optimizers', { name: uniqueName('few'), type: 'labeled_few_shot' }),
      201,
    );
    const program = await used.readyQa();
    const trainingData = Array.from({ length: 10 }, (_, n) => ({ question: `q ${n}`, answer: `N${n}` }));
    const begun = demand(
      await used.stack.http.post(`/v1/optimizers/${made.slug}:optimize`, { program, trainingData }),
      202,
    );
    const job = await used.ended(begun.id);
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', scoreBefore: 0, scoreAfter: 1 });
    const evaluation = demand(await used.stack.http.get(`/v1/evaluations/${job.evaluationAfter}`), 200);
    expect(evaluation).toMatchObject({ exampleCount: '2', splits: ['SPLIT_TEST'] });
  });

  it('C-14 OPT-05 tries a job three times, then takes the program back to READY with a failed entry', async () => {
    const program = await used.readyQa();
    const { id } = await used.optimize(program, { type: 'custom', config: { name: 'broken' } });
    const job = await used.ended(id);
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_FAILED', attempt: 3, losses: 0, resultVersion: 0 });
    expect(job.fault).toMatchObject({ reason: 'MODULE_FAILED', message: expect.stringContaining('no way to improve') });
    const { id: programId, ...after } = await used.programOf(program);
    expect(after).toMatchObject({ status: 'PROGRAM_STATUS_READY', latestVersion: 1 });
    const [entry, ...others] = after.optimizationHistory as JsonObject[];
    expect([entry, others]).toMatchObject([
      { job_id: id, status: 'failed', attempts: 3, error: { reason: 'MODULE_FAILED' } },
      [],
    ]);
    const logged = used.stack.logs().match(new RegExp(`Optimization failed for program ${programId}`, 'g'));
    expect(logged).toHaveLength(3);
    const queued = await query(
      used.stack.databaseUrl,
      `select state from pgboss.job where name = 'optimization' and data ->> 'jobId' = $1`,
      [id],
    );
    expect(queued).toEqual([{ state: 'failed' }]);
  });

  it('streams states, candidates and progress, and goes on behind the last event that was seen', async () => {
    const program = await used.readyQa();
    used.behaviour = (request) => ({ ...knowsByDemos(request), delayMs: 20 }) as Behaviour;
    const config = { num_candidate_programs: 2, max_bootstrapped_demos: 1, max_labeled_demos: 1 };
    const { id } = await used.optimize(program, { type: 'random_search', config });
    const events = await watched(`/v1/optimizationJobs/${id}:watch`);
    const named = (name: string) => events.filter(({ event }) => event === name);
    const phases = named('job').map(({ data }) => data.phase);
    for (const phase of ['scoring_before', 'optimizing', 'scoring_after']) expect(phases).toContain(phase);
    expect(named('job').at(-1)!.data).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', scoreAfter: 1 });
    expect(named('trial').length).toBeGreaterThanOrEqual(4);
    expect(named('trial')[0]!.data).toMatchObject({ number: 1, step: 'random_search' });
    expect(named('progress').at(-1)?.data.spend).toMatchObject({ lmCalls: expect.any(String) });
    const ids = events.map((event) => Number(event.id));
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    const rest = await watched(`/v1/optimizationJobs/${id}:watch`, { 'last-event-id': events.at(-2)!.id });
    expect(rest.map(({ event }) => event)).toEqual(['job']);
  });

  it('refuses bad requests with the path of each fault, and keeps nothing of them', async () => {
    const program = await used.readyQa();
    const ask = async (body: JsonObject) => (await used.stack.http.post(`/v1/programs/${program}:optimize`, body)).body;
    const fields = async (body: JsonObject) => ((await ask(body)).violations as JsonObject[]).map(({ field }) => field);
    expect(await fields({ dataset: used.dataset })).toEqual(['optimizer']);
    expect(
      await fields({ dataset: used.dataset, type: 'mipro', config: { num_trials: 0, breadth: 2, auto: 'x' } }),
    ).toEqual([...['config.num_trials', 'config.breadth', 'config.auto', 'config.auto']]);
    expect(await fields({ type: 'bootstrap' })).toEqual(['dataset']);
    expect(await fields({ dataset: used.dataset, type: 'bootstrap', splits: { test: ['train'] } })).toEqual([
      'splits.test',
    ]);
    expect(await fields({ dataset: used.dataset, type: 'bootstrap', budget: { lmCalls: '-1' } })).toEqual([
      'budget.lmCalls',
    ]);
    expect(
      await fields({ dataset: used.dataset, type: 'bootstrap', metric: { kind: 'exact_match', field: 'colour' } }),
    ).toEqual(['metric.field']);
    expect(await fields({ type: 'bootstrap', validationData: [{ question: 'q', answer: 'a' }] })).toEqual([
      'trainingData',
    ]);
    expect(await ask({ dataset: 'nothing', type: 'bootstrap' })).toMatchObject({
      status: 404,
      reason: 'DATASET_NOT_FOUND',
    });
    expect(await ask({ dataset: used.dataset, optimizer: 'nobody' })).toMatchObject({
      status: 404,
      reason: 'OPTIMIZER_NOT_FOUND',
    });
    expect(await ask({ dataset: used.dataset, type: 'bootstrap', version: 9 })).toMatchObject({
      status: 404,
      reason: 'VERSION_NOT_FOUND',
    });
    const { body } = await used.stack.http.get(`/v1/programs/${program}/optimizationJobs`);
    expect(body.optimizationJobs ?? []).toEqual([]);
    expect((await used.programOf(program)).status).toBe('PROGRAM_STATUS_READY');
    const missingJob = await used.stack.http.get('/v1/optimizationJobs/018f0000-0000-7000-8000-000000000000');
    expect(missingJob.body).toMatchObject({ status: 404, reason: 'JOB_NOT_FOUND' });
  });

  it('lists jobs by program, filter and page', async () => {
    const program = await used.readyQa();
    const ids: unknown[] = [];
    for (const k of [1, 2])
      ids.push((await used.ended((await used.optimize(program, { type: 'labeled_few_shot', config: { k } })).id)).id);
    const list = async (more: string) =>
      (
        demand(await used.stack.http.get(`/v1/optimizationJobs?program=${program}${more}`), 200)
          .optimizationJobs as JsonObject[]
      ).map(({ id }) => id);
    expect(await list('')).toEqual(ids.toReversed());
    expect(await list('&orderBy=create_time&pageSize=1')).toEqual([ids[0]]);
    expect(await list(`&filter=${encodeURIComponent('status = completed AND type = labeled_few_shot')}`)).toHaveLength(
      2,
    );
    expect(await list(`&filter=${encodeURIComponent('status = failed')}`)).toEqual([]);
  });
});
