import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { useOptimizing } from '../support/optimizing.ts';
import { demand, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`optimizers are left out: ${missing}`);

describe.skipIf(missing !== undefined)('optimizers', { timeout: 120_000 }, () => {
  const used = useOptimizing();

  it("runs an optimizer of the operator's by its name on the allow-list, with its arguments, and no other", async () => {
    const program = await used.readyQa();
    const config = { name: 'rewrite', kwargs: { instructions: 'Answer as the demo does.' } };
    const job = await used.ended((await used.optimize(program, { type: 'custom', config })).id);
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', scoreAfter: 1 });
    expect((await used.programOf(program)).variables).toMatchObject({
      instructions: 'Answer as the demo does.',
      demo_count: 1,
    });
    const other = await used.ended(
      (await used.optimize(program, { type: 'custom', config: { name: 'os.system' } })).id,
    );
    expect(other).toMatchObject({ status: 'OPTIMIZATION_STATUS_FAILED', attempt: 1 });
  });

  it('beacon begins with what costs nothing and stops where nothing is left to gain', async () => {
    const program = await used.readyQa();
    const job = await used.ended((await used.optimize(program, { type: 'beacon', config: { max_demos: 2 } })).id);
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', scoreBefore: 0, scoreAfter: 1 });
    // The program as it is and the first step's result on six examples each: what the first step makes asks nobody.
    expect(job.spend).toMatchObject({ lmCalls: '12' });
    const { trials } = demand(await used.stack.http.get(`/v1/optimizationJobs/${job.id}/trials`), 200);
    const steps = (trials as JsonObject[]).map(({ step }) => step);
    expect(new Set(steps)).toEqual(new Set(['base', 'labeled_few_shot']));
    expect(steps[0]).toBe('base');
  });

  const moduleWith = async (...optimizationHints: JsonObject[]): Promise<string> => {
    const name = uniqueName('hinted').replace('-', '_');
    const fields = { type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'question -> answer' };
    demand(await used.stack.http.post('/v1/modules', { name, ...fields, optimizationHints }), 201);
    return name;
  };

  it('EXT-05 OPT-02 search within what hints of the module allow, whatever the job asks for', async () => {
    const module = await moduleWith(
      { parameter: 'max_demos', range: { min: 1, max: 2 } },
      { parameter: 'num_candidate_programs', choices: { values: [1, 2] } },
    );
    const program = await used.readyQa({ configuration: { module } });
    const few = await used.ended((await used.optimize(program, { type: 'labeled_few_shot', config: { k: 9 } })).id);
    expect(few).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', config: { k: 2 }, scoreAfter: 1 });
    expect((await used.programOf(program)).variables).toMatchObject({ demo_count: 2 });
    const other = await used.readyQa({ configuration: { module } });
    const config = { max_labeled_demos: 9, num_candidate_programs: 7 };
    const job = await used.ended((await used.optimize(other, { type: 'random_search', config })).id);
    expect(job).toMatchObject({
      status: 'OPTIMIZATION_STATUS_COMPLETED',
      config: { max_labeled_demos: 2, max_bootstrapped_demos: 2, num_candidate_programs: 2 },
    });
    const { variables } = await used.programOf(other);
    expect((variables as { demo_count: number }).demo_count).toBeLessThanOrEqual(2);
    const { trials } = demand(await used.stack.http.get(`/v1/optimizationJobs/${job.id}/trials`), 200);
    // As it is, with labeled demos, with bootstrapped ones, and the two candidates.
    expect((trials as JsonObject[]).length).toBeLessThanOrEqual(5);
  });

  it('EXT-05 leave alone what hints keep fixed: kinds that would change it are refused, beacon does without them', async () => {
    const fixed = { parameter: 'instructions', choices: { values: ['as they are'] }, strategy: 'fixed' };
    const program = await used.readyQa({ configuration: { module: await moduleWith(fixed) } });
    const asked = { dataset: used.dataset, type: 'copro' };
    const refused = await used.stack.http.post(`/v1/programs/${program}:optimize`, asked);
    expect(refused.body).toMatchObject({ status: 400, violations: [{ field: 'type', reason: 'FIXED' }] });
    const job = await used.ended((await used.optimize(program, { type: 'beacon', config: { max_demos: 1 } })).id);
    expect(job.config).toMatchObject({ steps: ['labeled_few_shot', 'bootstrap', 'random_search'] });
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', scoreAfter: 1 });
    const version = demand(await used.stack.http.get(`/v1/programs/${program}/versions/${job.resultVersion}`), 200);
    // What DSPy says where nobody said anything.
    expect(version.configuration).toMatchObject({
      instructions: 'Given the fields `question`, produce the fields `answer`.',
    });
  });
});
