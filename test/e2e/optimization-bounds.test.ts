import { eventually } from '@signet/kit/testing/eventually.ts';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { knowsByDemos, useOptimizing } from '../support/optimizing.ts';
import { demand, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import type { Behaviour } from '../support/scripted-lm.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`bounds of optimizations are left out: ${missing}`);

describe.skipIf(missing !== undefined)('bounds of optimizations', { timeout: 120_000 }, () => {
  const used = useOptimizing();

  it.each([1, 4])(
    'makes exactly as many calls as its cap allows with %i threads, and keeps the best so far',
    async (threads) => {
      const program = await used.readyQa();
      const config = {
        num_candidate_programs: 100,
        max_bootstrapped_demos: 2,
        max_labeled_demos: 2,
        num_threads: threads,
      };
      const job = await used.ended(
        (await used.optimize(program, { type: 'random_search', config, budget: { lmCalls: '50' } })).id,
      );
      expect(job).toMatchObject({
        status: 'OPTIMIZATION_STATUS_COMPLETED',
        budgetExhausted: 'lm_calls',
        scoreAfter: 1,
      });
      expect(job.spend).toMatchObject({ lmCalls: '50' });
      // The two measurements on the five held-out examples are not the optimizer's.
      expect(used.lm.calls).toBe(50 + 5 + 5);
      expect((await used.programOf(program)).status).toBe('PROGRAM_STATUS_READY');
      const trials = demand(await used.stack.http.get(`/v1/optimizationJobs/${job.id}/trials`), 200)
        .trials as JsonObject[];
      expect(trials.length).toBeGreaterThan(0);
      expect(trials.some(({ best, score, full }) => best && full && score === 1)).toBe(true);
    },
  );

  it('ends as failed where the cap comes before any candidate', async () => {
    const program = await used.readyQa();
    const job = await used.ended((await used.optimize(program, { type: 'copro', budget: { lmCalls: '1' } })).id);
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_FAILED', budgetExhausted: 'lm_calls', attempt: 1 });
    expect(job.fault).toMatchObject({ reason: 'BUDGET_EXCEEDED' });
    expect(job.spend).toMatchObject({ lmCalls: '1' });
    const { status, optimizationHistory, latestVersion } = await used.programOf(program);
    expect([status, latestVersion]).toEqual(['PROGRAM_STATUS_READY', 1]);
    expect((optimizationHistory as JsonObject[])[0]).toMatchObject({ status: 'failed', budget_exhausted: 'lm_calls' });
  });

  it('ends a job within five seconds when it is cancelled, and one that waits at once', async () => {
    const [program, other] = [await used.readyQa(), await used.readyQa()];
    used.behaviour = (request) => ({ ...knowsByDemos(request), delayMs: 300 }) as Behaviour;
    const running = await used.optimize(program, { type: 'random_search', config: { num_candidate_programs: 50 } });
    const waiting = await used.optimize(other, { type: 'labeled_few_shot' });
    await eventually(async () => {
      const job = demand(await used.stack.http.get(`/v1/optimizationJobs/${running.id}`), 200);
      expect(Number((job.spend as JsonObject).lmCalls)).toBeGreaterThan(2);
    }, 60_000);
    for (const id of [waiting.id, running.id]) {
      const sinceMs = performance.now();
      const job = demand(await used.stack.http.post(`/v1/optimizationJobs/${id}:cancel`, {}), 200);
      expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_CANCELLED', cancelRequested: true });
      expect(performance.now() - sinceMs).toBeLessThan(5_000);
    }
    for (const slug of [program, other]) {
      const { status, optimizationHistory } = await used.programOf(slug);
      expect(status).toBe('PROGRAM_STATUS_READY');
      expect((optimizationHistory as JsonObject[])[0]).toMatchObject({ status: 'cancelled' });
    }
    const { calls } = used.lm;
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(used.lm.calls).toBe(calls);
  });

  it('goes on after kill -9 of the executor without paying again', async () => {
    const program = await used.readyQa();
    used.behaviour = (request) => ({ ...knowsByDemos(request), delayMs: 150 }) as Behaviour;
    const config = { num_candidate_programs: 3, max_bootstrapped_demos: 2, max_labeled_demos: 2 };
    const undisturbed = await used.ended(
      (await used.optimize(await used.readyQa(), { type: 'random_search', config })).id,
    );
    const alone = used.lm.calls;
    used.lm.reset();
    const { id } = await used.optimize(program, { type: 'random_search', config });
    for (const enough of [8]) {
      await eventually(() => expect(used.lm.calls - 5).toBeGreaterThan(enough), 60_000);
      await used.stack.kill('executor');
      await used.stack.restart('executor');
    }
    const job = await used.ended(id);
    expect(job.fault).toBeUndefined();
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', scoreBefore: 0, scoreAfter: 1, attempt: 1 });
    expect(job.bestScore).toBe(undisturbed.bestScore);
    expect(Number(job.losses)).toBe(1);
    expect(Number((job.spend as JsonObject).replayed)).toBeGreaterThan(0);
    expect(used.lm.calls).toBeLessThanOrEqual(alone + 1);
    expect((await used.programOf(program)).latestVersion).toBe(2);
  });

  it('caps money by the prices of the language model, and refuses to where it has none', async () => {
    const program = await used.readyQa();
    const refused = await used.stack.http.post(`/v1/programs/${program}:optimize`, {
      dataset: used.dataset,
      type: 'copro',
      budget: { usd: 1 },
    });
    expect(refused.body).toMatchObject({ status: 400, violations: [{ field: 'budget.usd', reason: 'NO_PRICES' }] });
    const model = uniqueName('priced');
    const prices = { inputPerMillion: 10, outputPerMillion: 30 };
    const named = { name: model, slug: model, model: 'openai/gpt-x', apiBase: used.lm.url, prices };
    demand(await used.stack.http.post('/v1/languageModels', named), 201);
    const priced = await used.readyQa({ configuration: { lm: model } });
    const config = { num_candidate_programs: 50, max_bootstrapped_demos: 1, max_labeled_demos: 1 };
    const job = await used.ended(
      (await used.optimize(priced, { type: 'random_search', config, budget: { usd: 0.05 } })).id,
    );
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', budgetExhausted: 'usd' });
    const { usd } = job.spend as { usd: number };
    expect(usd).toBeLessThanOrEqual(0.05);
    expect(usd).toBeGreaterThan(0.02);
  });

  it('ends an optimizer whose time is over, with the best so far', async () => {
    const program = await used.readyQa();
    used.behaviour = (request) => ({ ...knowsByDemos(request), delayMs: 100 }) as Behaviour;
    const config = { num_candidate_programs: 100, max_bootstrapped_demos: 1, max_labeled_demos: 1 };
    const job = await used.ended(
      (await used.optimize(program, { type: 'random_search', config, budget: { seconds: 8 } })).id,
    );
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', budgetExhausted: 'seconds', scoreAfter: 1 });
    expect((job.spend as { seconds: number }).seconds).toBeLessThan(14);
  });
});
