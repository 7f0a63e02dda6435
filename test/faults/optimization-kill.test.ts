import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DurablePostgres, startDurablePostgres } from '../support/durable-postgres.ts';
import type { JsonObject } from '../support/http.ts';
import { listProcesses } from '../support/processes.ts';
import { demand, readyProgram, uniqueName } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { createRandom } from '../support/random.ts';
import { type ScriptedLm, type SeenRequest, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** A lease is over after 10 s; then the optimizer begins anew with the answers that were kept. */
const ENDED_MS = 90_000;
const HELD_OUT = 4;
const VICTIMS = ['executor', 'optimizer', 'postgres', 'registry', 'sidecar'] as const;
const first = Number(process.env.SIGNET_FAULT_SEED ?? Date.now() % 1_000_000);
const seeds = Array.from({ length: Number(process.env.SIGNET_FAULT_ROUNDS ?? 2) }, (_, at) => first + at);

const missing = whyNoPython();
if (missing !== undefined) console.warn(`killing processes under optimizations is left out: ${missing}`);

/** Knows an answer only where a demo shows how answers look. */
function answer({ body }: SeenRequest) {
  const messages = body.messages ?? [];
  const number = /q (\d+)/.exec(String(messages.at(-1)?.content))?.[1];
  const isShown = messages.some(({ role }) => role === 'assistant');
  const text = `[[ ## answer ## ]]\n${isShown ? `N${number}` : 'who knows'}\n\n[[ ## completed ## ]]`;
  return { kind: 'text', text, delayMs: 60 } as const;
}

describe.skipIf(missing !== undefined)('kill -9 at any moment of an optimization', () => {
  let postgres: DurablePostgres;
  let lm: ScriptedLm;
  let stack: Stack;
  let dataset = '';
  /** What the same job asks when nobody kills anything. */
  let undisturbed = 0;

  beforeAll(async () => {
    [postgres, lm] = await Promise.all([startDurablePostgres(), startScriptedLm({ behaviour: answer })]);
    stack = await startStack({
      engines: 'python',
      lm: lm.url,
      databaseUrl: postgres.url,
      envOf: { sidecar: { SIGNET_SIDECAR_WORKERS: '1' } },
    });
    dataset = uniqueName('data');
    const made = { name: dataset, slug: dataset, signatureSpec: 'question -> answer' };
    demand(await stack.http.post('/v1/datasets', made), 201);
    const splits = [...Array(8).fill('train'), ...Array(5).fill('validation'), ...Array(HELD_OUT).fill('test')];
    const rows = splits.map((split, n) => ({ inputs: { question: `q ${n}` }, outputs: { answer: `N${n}` }, split }));
    const text = rows.map((row) => JSON.stringify(row)).join('\n');
    const headers = { 'content-type': 'application/x-ndjson' };
    demand(await stack.http.post(`/v1/datasets/${dataset}/examples:import`, text, { headers }), 201);
    await ended((await begin()).id);
    undisturbed = lm.calls - 2 * HELD_OUT;
  }, 180_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    await postgres?.close();
  }, 60_000);

  const begin = async (): Promise<JsonObject> => {
    const program = await readyProgram(stack, { adapterType: 'python_port', signatureSpec: 'question -> answer' });
    lm.reset();
    const config = { num_candidate_programs: 6, max_bootstrapped_demos: 2, max_labeled_demos: 2 };
    const body = { dataset, type: 'random_search', config };
    return demand(await stack.http.post(`/v1/programs/${program.slug}:optimize`, body), 202);
  };
  const ended = (id: unknown): Promise<JsonObject> =>
    eventually(
      async () => {
        const job = demand(await stack.http.get(`/v1/optimizationJobs/${id}`), 200);
        expect(job.endTime).toBeDefined();
        return job;
      },
      ENDED_MS,
      200,
    );
  const kill = async (victim: (typeof VICTIMS)[number], deadMs: number): Promise<void> => {
    if (victim === 'optimizer') {
      const below = listProcesses().filter(({ parent }) => parent === stack.pid('sidecar'));
      for (const { pid, command } of below) if (command.includes('optimize')) process.kill(pid, 'SIGKILL');
      return;
    }
    if (victim === 'postgres') await postgres.kill();
    else await stack.kill(victim);
    await delay(deadMs);
    if (victim === 'postgres') await postgres.restart();
    else await stack.restart(victim);
  };

  it.each(seeds)(
    'C-14 every job ends once with one version, and pays again for nothing but what was under way (seed %i)',
    { timeout: 180_000 },
    async (seed) => {
      const random = createRandom(seed * 1_009 + 17);
      const victims = [random.pick(VICTIMS), random.pick(VICTIMS)].slice(0, 1 + random.below(2));
      const { id, programId } = await begin();
      let kills = 0;
      for (const victim of victims) {
        const enough = 1 + random.below(Math.ceil(undisturbed * 0.7));
        await eventually(() => expect(lm.calls - HELD_OUT).toBeGreaterThanOrEqual(enough), ENDED_MS);
        await delay(random.below(200));
        await kill(victim, random.below(1_500));
        kills += 1;
      }
      const job = await ended(id);
      console.info(
        `seed ${seed}: ${victims} fell, ${lm.calls} calls, ${job.losses} losses, ${undisturbed} undisturbed`,
      );
      expect(job.fault).toBeUndefined();
      expect(job).toMatchObject({ status: 'OPTIMIZATION_STATUS_COMPLETED', scoreBefore: 0, scoreAfter: 1 });
      expect(lm.calls).toBeLessThanOrEqual(undisturbed + 2 * HELD_OUT + kills);
      const [program] = await query(
        postgres.url,
        `select status, latest_version, jsonb_path_query_array(optimization_history, '$[*].status') as ends
         from registry.programs where id = $1`,
        [programId],
      );
      expect(program).toEqual({ status: 'ready', latest_version: 2, ends: ['completed'] });
    },
  );
});
