import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DurablePostgres, startDurablePostgres } from '../support/durable-postgres.ts';
import type { JsonObject } from '../support/http.ts';
import { workersOf } from '../support/processes.ts';
import { demand } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { createRandom, type Random } from '../support/random.ts';
import { textOf } from '../support/scripted-answer.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** A lease is over after 10 s, the reaper looks every second, and what is left of a run takes a moment. */
const SETTLED_MS = 60_000;
/** An answer that had come but was not kept yet when the kill fell counts as under way. */
const KEPT_MS = 1_500;
/** A call that a worker had asked for is on its way to the model until its death is noticed. */
const NOTICED_MS = 500;
const RUNS = 4;
const VICTIMS = ['executor', 'worker', 'postgres'] as const;
const first = Number(process.env.SIGNET_FAULT_SEED ?? Date.now() % 1_000_000);
const seeds = Array.from({ length: Number(process.env.SIGNET_FAULT_ROUNDS ?? 2) }, (_, at) => first + at);

const missing = whyNoPython();
if (missing !== undefined) console.warn(`killing processes under pipelines is left out: ${missing}`);

/** Between when and when a process fell. */
type Fall = { readonly fromMs: number; readonly untilMs: number };

/** The call of a model by one step of one run. */
type Asked = { readonly key: string; readonly fromMs: number; readonly untilMs: number };

const ref = (path: string) => ({ $ref: path });
const LM_STEPS = ['first', 'left', 'middle', 'right', 'last'];

describe.skipIf(missing !== undefined)('kill -9 at any moment of a pipeline', () => {
  let postgres: DurablePostgres;
  let lm: ScriptedLm;
  let stack: Stack;
  let program = '';
  let random: Random;
  const asked: Asked[] = [];

  beforeAll(async () => {
    random = createRandom(first);
    const lmDelay = createRandom(first + 1);
    const behaviour = (request: { body: { messages?: { content: unknown }[] } }) => {
      const delayMs = 30 + lmDelay.below(250);
      const text = textOf(request.body.messages?.at(-1)?.content);
      const key = /tag-[\w-]+/.exec(text)?.[0] ?? '';
      asked.push({ key, fromMs: Date.now(), untilMs: Date.now() + delayMs });
      return { kind: 'answer', delayMs } as const;
    };
    [postgres, lm] = await Promise.all([startDurablePostgres(), startScriptedLm({ behaviour })]);
    stack = await startStack({ engines: 'python', lm: lm.url, databaseUrl: postgres.url });
    const fields = { type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'tag: str, x: str -> y: str' };
    demand(await stack.http.post('/v1/modules', { name: 'echo', ...fields }), 201);
    const step = (id: string, x: unknown) => {
      const tag = { $cel: `"tag-" + input.run + "-${id}"` };
      return { id, type: 'module', module: 'echo', input: { tag, x } };
    };
    const group = ['left', 'middle', 'right'].map((id) => step(id, ref('steps.first.y')));
    const steps = [
      step('first', ref('input.run')),
      { id: 'both', type: 'group', steps: group },
      { id: 'joined', type: 'function', function: 'value', input: ref('steps.both') },
      step('last', ref('steps.joined.right.y')),
    ];
    const pipelineSpec = {
      inputs: 'run: str',
      steps,
      return: { last: ref('steps.last.y'), both: ref('steps.joined') },
    };
    const made = demand(await stack.http.post('/v1/programs:compose', { modules: ['echo'], pipelineSpec }), 201);
    program = String(made.slug);
    demand(await stack.http.post(`/v1/programs/${program}:initialize`), 200);
  }, 120_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    await postgres?.close();
  }, 60_000);

  const start = async (run: string): Promise<string> => {
    const body = { program, inputs: { run }, executionOptions: { cache: false } };
    return String(demand(await stack.http.post('/v1/executions', body), 202).id);
  };

  /** Kills one victim, leaves it dead for a moment, and starts it again; gives between when and when it fell. */
  const fell = async (victim: (typeof VICTIMS)[number]): Promise<Fall> => {
    const fromMs = Date.now();
    if (victim === 'worker') {
      for (const pid of workersOf(stack.pid('sidecar'))) process.kill(pid, 'SIGKILL');
      return { fromMs, untilMs: Date.now() };
    }
    if (victim === 'postgres') await postgres.kill();
    else await stack.kill(victim);
    const untilMs = Date.now();
    await delay(random.below(500));
    if (victim === 'postgres') await postgres.restart();
    else await stack.restart(victim);
    return { fromMs, untilMs };
  };

  const allEnded = (ids: readonly string[]) =>
    eventually(
      async () => {
        const open = await query(
          postgres.url,
          `select id, step, status from executor.executions where (id = any($1) or parent_id = any($1)) and end_time is null`,
          [ids],
        );
        expect(open).toEqual([]);
      },
      SETTLED_MS,
      200,
    );

  it.each(seeds)(
    'ends every run once, and asks no model twice but for what was under way (seed %i)',
    {
      timeout: 120_000,
    },
    async (seed) => {
      const victim = random.pick(VICTIMS);
      asked.length = 0;
      const runs = Array.from({ length: RUNS }, (_, at) => `${seed}-${at}`);
      const ids = await Promise.all(runs.map(start));
      const calls = random.below(RUNS * LM_STEPS.length);
      await eventually(() => expect(asked.length).toBeGreaterThanOrEqual(Math.min(calls, RUNS)), 20_000);
      await delay(random.below(900));
      const fall = await fell(victim);
      await allEnded(ids);
      const extra = extraCalls(runs, fall);
      console.info(`seed ${seed}: ${victim} fell, ${asked.length} calls, ${extra.length} of them again`);
      const rows = await query(
        postgres.url,
        `select coalesce(parent_id, id)::text as run, step, count(*)::int as n, min(status) as status, min(outputs::text) as outputs
       from executor.executions where id = any($1) or parent_id = any($1) group by 1, 2`,
        [ids],
      );
      expect(rows.filter(({ status }) => status !== 'completed')).toEqual([]);
      expect(rows.filter(({ n }) => n !== 1)).toEqual([]);
      expect(rows).toHaveLength(RUNS * (LM_STEPS.length + 2));
      const ends = await query(
        postgres.url,
        `select e.execution_id from executor.execution_ends e join executor.executions x on x.id = e.execution_id
       where x.id = any($1) or x.parent_id = any($1) group by 1 having count(*) <> 1`,
        [ids],
      );
      expect(ends).toEqual([]);
      for (const id of ids) {
        const { outputs } = demand(await stack.http.get(`/v1/executions/${id}`), 200);
        expect((outputs as { both: JsonObject }).both).toMatchObject({ left: {}, middle: {}, right: {} });
      }
      expect(extra.filter(({ wasUnderWay }) => !wasUnderWay)).toEqual([]);
    },
  );

  /** Calls beyond the first of each step, and whether the one before was under way when the kill fell. */
  function extraCalls(runs: readonly string[], fall: Fall): { key: string; wasUnderWay: boolean }[] {
    return runs.flatMap((run) =>
      LM_STEPS.flatMap((step) => {
        const of = asked.filter(({ key }) => key === `tag-${run}-${step}`);
        expect(of.length, `${run} ${step}`).toBeGreaterThan(0);
        return of.slice(1).map(({ key }, at) => {
          const before = of[at]!;
          return {
            key,
            wasUnderWay:
              at === 0 && before.fromMs <= fall.untilMs + NOTICED_MS && fall.fromMs <= before.untilMs + KEPT_MS,
          };
        });
      }),
    );
  }
});
