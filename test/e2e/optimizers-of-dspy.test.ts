import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, readyProgram, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type Behaviour, type ScriptedLm, type SeenRequest, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** A model without memory: right with demos or where it is told to take care; else right about every fourth question. */
function careful({ body }: SeenRequest): Behaviour {
  const text = (body.messages ?? []).map(({ content }) => String(content)).join('\n');
  const listed = text.split('Your output fields are:').at(-1)?.split('\n\n')[0] ?? '';
  const fields = [...listed.matchAll(/^\d+\. `(\w+)`/gm)].map(([, name]) => name!);
  const values = Object.fromEntries(fields.map((name) => [name, proposal(name, text)]));
  if (fields.includes('answer')) values.answer = answer(text);
  const isJson = text.slice(-600).includes('JSON object');
  const sections = Object.entries(values).map(([name, value]) => `[[ ## ${name} ## ]]\n${value}`);
  return { kind: 'text', text: isJson ? JSON.stringify(values) : [...sections, '[[ ## completed ## ]]'].join('\n\n') };
}

function answer(text: string): string {
  const asked = [...text.matchAll(/\bq (\d+)/g)].map(([, number]) => Number(number));
  const objective = text.split('your objective is:')[1]?.slice(0, 400) ?? '';
  const isAble = new Set(asked).size > 1 || objective.includes('care') || asked.at(-1)! % 4 === 0;
  return isAble ? `N${asked.at(-1)}` : 'who knows';
}

// Another text for another prompt: proposals differ, and are the same in each run.
function proposal(name: string, text: string): string {
  if (name === 'module_advice') return JSON.stringify({ self: 'Take care.' });
  return `Answer with care ${createHash('sha256').update(text).digest('hex').slice(0, 8)} (${name}).`;
}

const kinds: Record<string, JsonObject> = {
  labeled_few_shot: { k: 2 },
  bootstrap: { max_bootstrapped_demos: 2, max_labeled_demos: 1 },
  random_search: { num_candidate_programs: 2, max_labeled_demos: 1 },
  infer_rules: { num_candidates: 2, max_bootstrapped_demos: 1, max_labeled_demos: 1 },
  copro: { breadth: 2, depth: 2 },
  mipro: { num_candidates: 3, num_trials: 3, minibatch: false },
  gepa: { max_metric_calls: 40 },
  simba: { bsize: 8, max_steps: 3, num_candidates: 3 },
};

const own = {
  SIGNET_PYTHON_PATH: join(import.meta.dirname, '..', '..', 'python-sidecar', 'tests', 'user_code'),
  SIGNET_PYTHON_MODULES: 'Support.Carefully=own_optimizers:Carefully,Support.Nothing=own_optimizers:nothing',
};

const missing = whyNoPython();
if (missing !== undefined) console.warn(`DSPy's optimizers are left out: ${missing}`);

describe.skipIf(missing !== undefined)("DSPy's optimizers", { timeout: 120_000 }, () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let dataset: string;
  beforeAll(async () => {
    lm = await startScriptedLm({ behaviour: careful });
    stack = await startStack({
      engines: 'python',
      lm: lm.url,
      envOf: { sidecar: { SIGNET_SIDECAR_WORKERS: '1', ...own } },
    });
    dataset = uniqueName('data');
    const fields = { name: dataset, slug: dataset, signatureSpec: 'question -> answer' };
    demand(await stack.http.post('/v1/datasets', fields), 201);
    const splits = ['train', 'train', 'validation', 'test'];
    const rows = Array.from({ length: 32 }, (_, n) =>
      JSON.stringify({ inputs: { question: `q ${n}` }, outputs: { answer: `N${n}` }, split: splits[(n >> 2) % 4] }),
    );
    const headers = { 'content-type': 'application/x-ndjson' };
    demand(await stack.http.post(`/v1/datasets/${dataset}/examples:import`, rows.join('\n'), { headers }), 201);
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });
  beforeEach(() => lm.reset());

  async function improve(program: JsonObject, body: JsonObject): Promise<JsonObject> {
    const { slug } = await readyProgram(stack, {
      adapterType: 'python_port',
      signatureSpec: 'question -> answer',
      ...program,
    });
    const begun = demand(await stack.http.post(`/v1/programs/${slug}:optimize`, { dataset, ...body }), 202);
    return await eventually(async () => {
      const job = demand(await stack.http.get(`/v1/optimizationJobs/${begun.id}`), 200);
      expect(job.status).toMatch(/_(COMPLETED|FAILED|CANCELLED)$/);
      return job;
    }, 60_000);
  }

  it.each(Object.entries(kinds))('OPT-01 %s makes a version that is measured to be better', async (type, config) => {
    const job = await improve({}, { type, config });
    expect(job.fault).toBeUndefined();
    expect(job).toMatchObject({
      status: 'OPTIMIZATION_STATUS_COMPLETED',
      scoreBefore: 0.25,
      scoreAfter: 1,
      resultVersion: 2,
    });
    const version = demand(await stack.http.get(`/v1/programs/${job.program}/versions/2`), 200);
    expect(version.lineage).toMatchObject({ jobId: job.id, optimizerType: type });
  });

  it("OPT-01 custom runs an optimizer of the operator's allow-list, and says what is wrong with one", async () => {
    const config = { name: 'Support.Carefully', kwargs: { word: 'great care' } };
    const job = await improve({}, { type: 'custom', config });
    expect(job.fault).toBeUndefined();
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', scoreBefore: 0.25, scoreAfter: 1 });
    const version = demand(await stack.http.get(`/v1/programs/${job.program}/versions/2:export`), 200);
    expect(JSON.stringify(version.state)).toContain('Answer with great care.');
    for (const name of ['Support.Nothing', 'os.system']) {
      const failed = await improve({}, { type: 'custom', config: { name } });
      expect(failed.status).toBe('OPTIMIZATION_STATUS_FAILED');
      expect((failed.fault as JsonObject).message).toContain(name);
    }
  });

  it('optimizes a program of two predictors, of which each gets demos of its own', async () => {
    const program = { configuration: { module: 'multi_chain_comparison' } };
    const job = await improve(program, { type: 'bootstrap', config: kinds.bootstrap! });
    expect(job.fault).toBeUndefined();
    expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', scoreAfter: 1, resultVersion: 2 });
    const exported = demand(await stack.http.get(`/v1/programs/${job.program}/versions/2:export`), 200);
    const state = exported.state as Record<string, { demos: JsonObject[] }>;
    expect(state['chain.predict']!.demos.some(({ reasoning }) => reasoning !== undefined)).toBe(true);
    expect(state['compare.predict']!.demos.some(({ rationale }) => rationale !== undefined)).toBe(true);
  });
});
