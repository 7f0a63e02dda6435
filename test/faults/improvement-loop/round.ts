import { setTimeout as delay } from 'node:timers/promises';
import { query } from '../../support/query.ts';
import { createRandom } from '../../support/random.ts';
import { countByKey, type Expected, expectedOf, extrasOf, faultsOfAsked, faultsOfRows } from './audit.ts';
import { type Fall, fell, optimizersOf, VICTIMS, type Victim } from './falls.ts';
import type { Ground } from './ground.ts';
import { type Accepted, beginJob, beginRuns, makeStudent, OPTIMIZATIONS } from './runs.ts';

/** A lease is over after 10 s; a job or an item may lose what runs it more than once. */
const SETTLED_MS = 120_000;
const OPTIMIZES_MS = 6_000;
/** So long an optimizer's process is at it on an idle machine, its start included. */
const AT_WORK_MS = 3_000;

/** What a round came to. */
export type RoundReport = {
  readonly seed: number;
  readonly optimization: string;
  readonly falls: readonly Victim[];
  readonly tookMs: number;
  /** Questions to the model: all of them, and those that came again because of a fall. */
  readonly asked: number;
  readonly again: number;
  /** Empty if every run ended once and rightly. */
  readonly faults: readonly string[];
};

/** How often an undisturbed optimization asks what, by optimization. */
export type Undisturbed = Map<string, Expected>;

/**
 * Runs pipelines, a batch and an optimization at once, kills what carries them at moments that follow from the seed, waits until all has
 * ended and looks for what was lost, doubled or asked without need.
 */
export async function runRound(
  ground: Ground,
  undisturbed: Undisturbed,
  { seed, victims = VICTIMS }: { readonly seed: number; readonly victims?: readonly Victim[] },
): Promise<RoundReport> {
  // Numbers of near seeds begin alike.
  const random = createRandom(seed * 7_919);
  random.below(2);
  const optimization = random.pick(Object.keys(OPTIMIZATIONS));
  const expected = await undisturbedOf(ground, undisturbed, optimization);
  const program = await makeStudent(ground.http);
  ground.asked.take();
  const beganMs = performance.now();
  let isOver = false;
  const beginning = beginRuns(ground, { seed, random: createRandom(seed + 1), optimization, program }, () => isOver);
  beginning.catch(() => undefined);
  const falls: Fall[] = [];
  for (let left = 1 + random.below(3); left > 0; left -= 1) {
    await delay(200 + random.below(5_000));
    const victim = random.pick(victims);
    if (victim === 'job') {
      await optimizes(ground);
      await delay(random.below(AT_WORK_MS));
    }
    falls.push(await fell(ground, random, victim));
  }
  isOver = true;
  const accepted = await beginning;
  const open = await settle(ground, accepted);
  const asked = ground.asked.take();
  const all = expectedOf(accepted, seed, expected);
  const faults = open.length > 0 ? open : await faultsOfRows(ground, accepted);
  return {
    ...{ seed, optimization, falls: falls.map(({ victim }) => victim) },
    tookMs: Math.round(performance.now() - beganMs),
    asked: asked.length,
    again: extrasOf(asked, all, falls).reduce((sum, { count }) => sum + count, 0),
    faults: [...faults, ...faultsOfAsked(asked, all, falls)],
  };
}

/** Waits until an optimizer is at work, for as long as one may take to be started or to be done before. */
async function optimizes(ground: Ground): Promise<void> {
  const endMs = performance.now() + OPTIMIZES_MS;
  while (optimizersOf(ground).length === 0 && performance.now() < endMs) await delay(50);
}

/** Waits until all has ended; gives what has not, one line each. */
async function settle({ postgres }: Ground, { batch, job }: Accepted): Promise<string[]> {
  const endMs = performance.now() + SETTLED_MS;
  for (;;) {
    const open = await query(
      postgres.url,
      `select 'execution ' || id || coalesce(' ' || step, '') || ' ' || status as what from executor.executions where end_time is null
       union all select 'batch ' || status from executor.batches where id = $1 and end_time is null
       union all select 'job ' || status || ' ' || phase || ' ' || losses from executor.optimization_jobs where id = $2 and end_time is null
       union all select 'evaluation ' || status from executor.evaluations where end_time is null`,
      [batch, job],
    );
    if (open.length === 0) return [];
    if (performance.now() > endMs) return open.map(({ what }) => `has not ended: ${what}`);
    await delay(200);
  }
}

async function undisturbedOf(ground: Ground, known: Undisturbed, optimization: string): Promise<Expected> {
  const found = known.get(optimization);
  if (found !== undefined) return found;
  const program = await makeStudent(ground.http);
  ground.asked.take();
  const job = await beginJob(ground, program, optimization);
  const open = await settle(ground, { job, program, pipelines: [], batch: job });
  if (open.length > 0) throw new Error(open.join('\n'));
  const counts = countByKey(ground.asked.take());
  known.set(optimization, counts);
  return counts;
}
