import type { HttpClient, JsonObject } from '../support/http.ts';
import { demand, uniqueName } from '../support/programs.ts';
import { type CpuGroups, cpuBetween, readCpu } from './cpu-meter.ts';
import { INPUTS } from './inputs.ts';
import { clientOf, medianMs, slugOf } from './product-client.ts';
import { startSignet } from './signet.ts';
import type { StageContext } from './stages.ts';

/** The name by which these figures are asked for. */
export const PIPELINES = 'pipelines';

const LM_MS = 50;
const STEPS = 10;
const TURNS = 15;
const STEP_AIM_MS = 2;
const ENGINES = ['ENGINE_NATIVE', 'ENGINE_PYTHON'] as const;

/**
 * Measures what a pipeline's step costs above its model, and holds a module, a pipeline, a batch, a cached call and a refused one against
 * what the founding plan projected for them. Gives a line of text for each.
 */
export async function measurePipelines(context: StageContext, python: string): Promise<string[]> {
  const { bench, postgres, modelUrl } = context;
  const signet = await startSignet({ databaseUrl: postgres.url, python, lmUrl: modelUrl });
  context.onStop(signet.close);
  const http = clientOf(signet);
  const groups = { ...signet.pids, postgres: [postgres.pid] };
  try {
    await bench.setModel(LM_MS, 0);
    const modelMs = await medianMs(TURNS, () => askModel(modelUrl));
    const chain = await makePipeline(http, inARow(STEPS));
    const lines: string[] = [];
    for (const engine of ENGINES) lines.push(await measureChain({ http, chain, groups }, engine, modelMs));
    await bench.setModel(0, 0);
    const instant = await medianMs(TURNS, () => askModel(modelUrl));
    for (const engine of ENGINES) lines.push(await measureChain({ http, chain, groups }, engine, instant));
    await bench.setModel(LM_MS, 0);
    return [...lines, ...(await holdAgainstPlan(http, slugOf(signet), chain))];
  } finally {
    await http.close();
    await signet.close();
  }
}

type Measured = { readonly http: HttpClient; readonly chain: string; readonly groups: CpuGroups };

async function measureChain({ http, chain, groups }: Measured, engine: string, modelMs: number): Promise<string> {
  let runs = 0;
  const before = readCpu(groups);
  const took = await medianMs(TURNS, () => {
    runs += 1;
    return run(http, chain, { engine, cache: false });
  });
  const cpuMs = Object.values(cpuBetween(before, readCpu(groups))).reduce((sum, ms) => sum + ms, 0) / (runs * STEPS);
  const perStep = (took - STEPS * modelMs) / STEPS;
  const verdict = perStep <= STEP_AIM_MS ? 'kept' : 'missed';
  return `pipeline of ${STEPS} steps in a row, ${nameOf(engine)}, the model takes ${modelMs.toFixed(1)} ms: ${took.toFixed(0)} ms, ${perStep.toFixed(2)} ms a step above it (aim ≤ ${STEP_AIM_MS}: ${verdict}), ${cpuMs.toFixed(2)} ms CPU a step`;
}

async function holdAgainstPlan(http: HttpClient, slug: string, chain: string): Promise<string[]> {
  const fresh = { engine: 'ENGINE_NATIVE', cache: false };
  const cached = { engine: 'ENGINE_NATIVE', cache: true };
  const execute = (executionOptions: JsonObject) => async () =>
    demand(await http.post(`/v1/programs/${slug}:execute`, { inputs: INPUTS, executionOptions }), 200);
  const batch = async () => {
    const rows = `${JSON.stringify({ inputs: INPUTS })}\n`.repeat(100);
    const path = `/v1/programs/${slug}:batchExecute?concurrency=100&executionOptions.engine=ENGINE_NATIVE`;
    demand(await http.send('POST', path, rows, { headers: { 'content-type': 'application/x-ndjson' } }), 200);
  };
  const forked = await makePipeline(http, [...inARow(8), inParallel(2)]);
  const refused = async () => demand(await http.get(`/v1/programs/${slug}`, { key: 'of-nobody' }), 401);
  const line = (what: string, projected: string, ms: number) =>
    `planned for ${what}: ${projected} ms; measured ${ms.toFixed(1)} ms`;
  return [
    line('a module, LM 50 ms', '50 → 55', await medianMs(TURNS, execute(fresh))),
    line('ten steps of 50 ms in a row', '500 → 480', await medianMs(5, () => run(http, chain, fresh))),
    line('ten steps of 50 ms, two of them at once', '500 → 480', await medianMs(5, () => run(http, forked, fresh))),
    line('ten steps of 50 ms in a row, asked before', '500 → 480', await medianMs(5, () => run(http, chain, cached))),
    line('a batch of 100, LM 50 ms', '5000 → 2000', await medianMs(3, batch)),
    line('a cached call', '50 → 5', await medianMs(TURNS, execute(cached))),
    line('a check of rights (a whole call with an unknown key, answered)', '5 → 1', await medianMs(TURNS, refused)),
  ];
}

function nameOf(engine: string): string {
  return engine === 'ENGINE_NATIVE' ? 'native' : 'Python';
}

async function run(http: HttpClient, program: string, executionOptions: JsonObject): Promise<void> {
  demand(await http.post(`/v1/programs/${program}:run`, { inputs: { x: 'begin' }, executionOptions }), 200);
}

async function askModel(url: string): Promise<void> {
  const body = JSON.stringify({ model: 'scripted', messages: [{ role: 'user', content: 'Hello.' }] });
  const headers = { 'content-type': 'application/json' };
  await (await fetch(`${url}/chat/completions`, { method: 'POST', headers, body })).arrayBuffer();
}

function inARow(count: number): JsonObject[] {
  const from = (at: number) => (at === 0 ? 'input.x' : `steps.s${at - 1}.y`);
  return Array.from({ length: count }, (_, at) => step(`s${at}`, from(at)));
}

function inParallel(count: number): JsonObject {
  return { id: 'both', type: 'group', steps: Array.from({ length: count }, (_, at) => step(`p${at}`, 'steps.s0.y')) };
}

function step(id: string, from: string): JsonObject {
  return { id, type: 'module', module: 'relay', input: { x: { $ref: from } } };
}

async function makePipeline(http: HttpClient, steps: JsonObject[]): Promise<string> {
  const module = { name: 'relay', type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'x: str -> y: str' };
  const made = await http.post('/v1/modules', module);
  if (made.status !== 201 && made.status !== 409) throw new Error(made.text);
  const last = steps.findLast(({ type }) => type === 'module');
  const pipelineSpec = { inputs: 'x: str', steps, return: { y: { $ref: `steps.${last?.id}.y` } } };
  const body = { name: uniqueName('pipeline'), modules: ['relay'], pipelineSpec };
  const { slug } = demand(await http.post('/v1/programs:compose', body), 201);
  demand(await http.post(`/v1/programs/${slug}:initialize`), 200);
  return String(slug);
}
