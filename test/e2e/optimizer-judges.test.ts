import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { knowsByDemos, useOptimizing } from '../support/optimizing.ts';
import { demand, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import type { Behaviour, SeenRequest } from '../support/scripted-lm.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`optimizers with judges are left out: ${missing}`);

const isJudging = ({ body }: SeenRequest): boolean =>
  String(body.messages?.[0]?.content).includes('Judge an answer that a program gave');

/** Judges by what was expected; answers only where demos show how. */
function judges(request: SeenRequest): Behaviour {
  if (!isJudging(request)) return knowsByDemos(request);
  const shown = String(request.body.messages?.at(-1)?.content);
  const of = (name: string) => shown.split(`[[ ## ${name} ## ]]\n`)[1]?.split('\n')[0];
  const score = of('answer') === of('expected') ? 1 : 0;
  const text = `[[ ## reasoning ## ]]\nIt is so.\n\n[[ ## score ## ]]\n${score}\n\n[[ ## completed ## ]]`;
  return { kind: 'text', text };
}

const search = { num_candidate_programs: 20, max_bootstrapped_demos: 1, max_labeled_demos: 1 };

describe.skipIf(missing !== undefined)('optimizers that a language model judges', { timeout: 120_000 }, () => {
  const used = useOptimizing();
  const countOf = (judging: boolean): number => used.lm.requests.filter((one) => isJudging(one) === judging).length;
  const makeModel = async (fields: JsonObject = {}): Promise<string> => {
    const name = uniqueName('judge');
    const body = { name, slug: name, model: 'openai/judge', apiBase: used.lm.url, ...fields };
    demand(await used.stack.http.post('/v1/languageModels', body), 201);
    return name;
  };

  it('OPT-04 count what the judge is asked against the cap, to the call', async () => {
    used.behaviour = judges;
    const [program, judge] = [await used.readyQa(), await makeModel()];
    const metric = { kind: 'lm_judge', lm: judge, instructions: 'The same as expected.' };
    const asked = { type: 'random_search', config: search, metric, budget: { lmCalls: '41' } };
    const job = await used.ended((await used.optimize(program, asked)).id);
    expect(job.fault).toBeUndefined();
    expect(job).toMatchObject({
      ...{ status: 'OPTIMIZATION_STATUS_COMPLETED', budgetExhausted: 'lm_calls' },
      ...{ scoreBefore: 0, scoreAfter: 1, spend: { lmCalls: '41' } },
    });
    // Before and after, five held-out examples are answered and judged; that is not the optimizer's.
    expect(used.lm.calls).toBe(41 + 20);
    const [judged, answered] = [countOf(true) - 10, countOf(false) - 10];
    expect(judged + answered).toBe(41);
    // The first two candidates answer each of six questions otherwise; what was judged before is not judged again.
    expect(judged).toBeGreaterThanOrEqual(12);
    expect(used.lm.requests.filter(isJudging).every(({ body }) => body.model === 'judge')).toBe(true);
  });

  it('cap money only where the judge has prices too, and count its own', async () => {
    used.behaviour = judges;
    const prices = { inputPerMillion: 1, outputPerMillion: 3 };
    const [cheap, free, dear] = [
      await makeModel({ prices }),
      await makeModel(),
      await makeModel({ prices: { inputPerMillion: 200, outputPerMillion: 600 } }),
    ];
    const program = await used.readyQa({ configuration: { lm: cheap } });
    const ask = (lm: string) => ({
      ...{ dataset: used.dataset, type: 'random_search', config: search },
      ...{ metric: { kind: 'lm_judge', lm }, budget: { usd: 2 } },
    });
    const refused = await used.stack.http.post(`/v1/programs/${program}:optimize`, ask(free));
    expect(refused.body).toMatchObject({ status: 400, violations: [{ field: 'budget.usd', reason: 'NO_PRICES' }] });
    expect(refused.body.detail).toContain(free);
    const job = await used.ended((await used.optimize(program, ask(dear))).id);
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', budgetExhausted: 'usd' });
    const { usd } = job.spend as { usd: number };
    expect(usd).toBeLessThanOrEqual(2);
    // All answers together do not come to a tenth of it.
    expect(usd).toBeGreaterThan(1);
  });

  it("ask the metric's language model and no other where DSPy's own metric judges", async () => {
    const recalls = ({ body }: SeenRequest) => String(body.messages?.[0]?.content).includes('`recall`');
    used.behaviour = (request) => (recalls(request) ? { kind: 'answer' } : knowsByDemos(request));
    const [program, lm] = [await used.readyQa(), await makeModel()];
    const metric = { kind: 'dspy', name: 'SemanticF1', field: 'answer', expectedField: 'answer', lm };
    const asked = { type: 'random_search', config: search, metric, budget: { lmCalls: '20' } };
    const job = await used.ended((await used.optimize(program, asked)).id);
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', spend: { lmCalls: '20' } });
    const judging = used.lm.requests.filter(recalls);
    // Five of each measurement before and after; the rest are the optimizer's.
    expect(judging.length).toBeGreaterThan(10);
    expect(new Set(judging.map(({ body }) => body.model))).toEqual(new Set(['judge']));
    expect(used.lm.requests.filter((one) => !recalls(one)).map(({ body }) => body.model)).not.toContain('judge');
    expect(used.lm.calls).toBe(20 + 20);
  });

  it('score nothing where the judge talks nonsense, and end all the same', async () => {
    used.behaviour = (request) =>
      isJudging(request) ? { kind: 'text', text: 'I would rather not.' } : knowsByDemos(request);
    const program = await used.readyQa();
    const asked = { type: 'labeled_few_shot', config: { k: 1 }, metric: { kind: 'lm_judge' } };
    const job = await used.ended((await used.optimize(program, asked)).id);
    expect(job).toMatchObject({ scoreBefore: 0 });
    expect((await used.programOf(program)).status).toBe('PROGRAM_STATUS_READY');
  });
});
