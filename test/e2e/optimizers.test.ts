import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { useOptimizing } from '../support/optimizing.ts';
import { demand } from '../support/programs.ts';
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
});
