import { setTimeout as delay } from 'node:timers/promises';
import type { HttpAnswer, HttpClient, JsonObject } from '../../support/http.ts';
import { demand, readyProgram } from '../../support/programs.ts';
import type { Random } from '../../support/random.ts';
import type { Ground } from './ground.ts';

/** How many items a batch has. */
export const ITEM_COUNT = 250;
const CONCURRENCY = 6;
const TRY_MS = 30_000;

const SEARCH = { num_candidate_programs: 4, max_bootstrapped_demos: 2, max_labeled_demos: 2 };

/** Optimizations that ask the same questions each time, by a name for the report. */
export const OPTIMIZATIONS: Readonly<Record<string, { readonly type: string; readonly config: JsonObject }>> = {
  bootstrap: { type: 'bootstrap', config: { max_bootstrapped_demos: 3, max_labeled_demos: 3 } },
  random_search: { type: 'random_search', config: SEARCH },
  'random_search, 4 threads': { type: 'random_search', config: { ...SEARCH, num_threads: 4 } },
  beacon: { type: 'beacon', config: { max_demos: 2 } },
};

/** What was accepted in one round. */
export type Accepted = {
  /** Executions of the pipeline, with the name that each was given. */
  readonly pipelines: readonly { readonly id: string; readonly run: string }[];
  readonly batch: string;
  readonly job: string;
  /** The program that the job improves. */
  readonly program: string;
};

/** A program of its own for an optimization to improve. */
export async function makeStudent(http: HttpClient): Promise<string> {
  const made = await readyProgram({ http }, { adapterType: 'python_port', signatureSpec: 'question -> answer' });
  return String(made.slug);
}

/** Begins an optimization; repeats until it is accepted. */
export async function beginJob(ground: Ground, program: string, optimization: string): Promise<string> {
  const body = { dataset: ground.dataset, ...OPTIMIZATIONS[optimization] };
  const path = `/v1/programs/${program}:optimize`;
  return String((await insist(`job-${program}`, (headers) => ground.http.post(path, body, { headers }))).id);
}

/** Begins everything that a round has: a batch, an optimization, and pipelines, one after another until `isOver`. */
export async function beginRuns(
  ground: Ground,
  plan: { readonly seed: number; readonly random: Random; readonly optimization: string; readonly program: string },
  isOver: () => boolean,
): Promise<Accepted> {
  const { seed, random, optimization, program } = plan;
  const [batch, job, pipelines] = await Promise.all([
    beginBatch(ground, seed),
    beginJob(ground, program, optimization),
    beginPipelines(ground, plan, random, isOver),
  ]);
  return { batch, job, program, pipelines };
}

async function beginBatch({ http, item }: Ground, seed: number): Promise<string> {
  const rows = Array.from({ length: ITEM_COUNT }, (_, n) => `${JSON.stringify({ q: `item-${seed}-${n}` })}\n`).join('');
  const path = `/v1/batches:upload?program=${item}&concurrency=${CONCURRENCY}&executionOptions.engine=ENGINE_PYTHON`;
  const accepted = await insist(`batch-${seed}`, (headers) =>
    http.send('POST', path, rows, { headers: { ...headers, 'content-type': 'application/x-ndjson' } }),
  );
  return String(accepted.id);
}

async function beginPipelines(
  { http, pipeline }: Ground,
  { seed }: { readonly seed: number },
  random: Random,
  isOver: () => boolean,
): Promise<Accepted['pipelines']> {
  const begun: { id: string; run: string }[] = [];
  for (let at = 0; at < 3 || !isOver(); at += 1) {
    const run = `${seed}-${at}`;
    const body = { program: pipeline, inputs: { run }, executionOptions: { cache: false } };
    const accepted = await insist(`run-${run}`, (headers) => http.post('/v1/executions', body, { headers }));
    begun.push({ id: String(accepted.id), run });
    await delay(200 + random.below(600));
  }
  return begun;
}

// Who is not answered asks again with the same id; what was refused for another reason than a fall is a fault.
async function insist(
  requestId: string,
  ask: (headers: Record<string, string>) => Promise<HttpAnswer>,
): Promise<JsonObject> {
  const headers = { 'idempotency-key': requestId, 'x-timeout-ms': '10000' };
  const endMs = performance.now() + TRY_MS;
  for (;;) {
    const answer = await ask(headers).catch(() => undefined);
    if (answer !== undefined && answer.status < 300) return answer.body;
    const mayPass = answer === undefined || [429, 503, 504].includes(answer.status);
    if (!mayPass || performance.now() > endMs) throw new Error(`${requestId} was not accepted: ${answer?.text}`);
    await delay(200);
  }
}

/** Reads an optimization. */
export async function readJob({ http }: Ground, id: string): Promise<JsonObject> {
  return demand(await http.get(`/v1/optimizationJobs/${id}`), 200);
}
