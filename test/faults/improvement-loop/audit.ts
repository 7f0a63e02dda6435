import { findFaults, gatherEvidence } from '../../support/execution-audit.ts';
import { demand } from '../../support/programs.ts';
import { query } from '../../support/query.ts';
import type { Asked } from './asked.ts';
import type { Fall } from './falls.ts';
import { type Ground, HELD_OUT_COUNT, LM_STEPS } from './ground.ts';
import { type Accepted, ITEM_COUNT, readJob } from './runs.ts';

/** An answer that had come but was not kept yet when somebody fell counts as under way. */
const KEPT_MS = 1_500;
/** A question that a dead process had asked for may go out until its death is noticed. */
const NOTICED_MS = 500;
/** Steps of a pipeline besides those that ask the model. */
const OTHER_STEPS = 2;

/** How often each question is asked where nobody falls. */
export type Expected = ReadonlyMap<string, number>;

/** What a language model was asked beyond what it would have been had nobody fallen. */
export type Extra = { readonly key: string; readonly count: number; readonly excused: number };

/** Counts questions by their key. */
export function countByKey(asked: readonly Asked[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { key } of asked) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** What pipelines and a batch ask, besides the optimization's own. */
export function expectedOf(accepted: Accepted, seed: number, optimization: Expected): Expected {
  const steps = accepted.pipelines.flatMap(({ run }) => LM_STEPS.map((step) => `tag-${run}-${step}`));
  const items = Array.from({ length: ITEM_COUNT }, (_, n) => `item-${seed}-${n}`);
  return new Map([...optimization, ...[...steps, ...items].map((key) => [key, 1] as const)]);
}

/** Questions asked more often than expected; each fall excuses one of a key that was under way when it came. */
export function extrasOf(asked: readonly Asked[], expected: Expected, falls: readonly Fall[]): Extra[] {
  return [...Map.groupBy(asked, ({ key }) => key)].flatMap(([key, of]) => {
    const count = of.length - (expected.get(key) ?? 0);
    if (count <= 0) return [];
    const excused = falls.filter((fall) => of.some((one) => wasUnderWay(one, fall))).length;
    return [{ key, count, excused }];
  });
}

function wasUnderWay(one: Asked, fall: Fall): boolean {
  return one.fromMs <= fall.untilMs + NOTICED_MS && fall.fromMs <= one.untilMs + KEPT_MS;
}

/** Everything that is wrong with the questions, one line each. */
export function faultsOfAsked(asked: readonly Asked[], expected: Expected, falls: readonly Fall[]): string[] {
  const counts = countByKey(asked);
  const never = [...expected].flatMap(([key, count]) =>
    (counts.get(key) ?? 0) < count ? [`${key} was asked ${counts.get(key) ?? 0} times instead of ${count}`] : [],
  );
  const again = extrasOf(asked, expected, falls).flatMap(({ key, count, excused }) =>
    count > excused ? [`${key} was asked ${count} times too often, with ${excused} falls to excuse it`] : [],
  );
  return [...never, ...again];
}

/** Everything that is wrong with what was kept of a round, one line each. */
export async function faultsOfRows(ground: Ground, accepted: Accepted): Promise<string[]> {
  const told = accepted.pipelines.map(({ id }) => ({ id }));
  const evidence = await gatherEvidence(ground.postgres.url, told);
  return [
    ...findFaults(evidence),
    ...(await faultsOfPipelines(ground, accepted)),
    ...(await faultsOfBatch(ground, accepted)),
    ...(await faultsOfJob(ground, accepted)),
  ];
}

async function faultsOfPipelines({ postgres }: Ground, { pipelines }: Accepted): Promise<string[]> {
  const steps = await query(
    postgres.url,
    `select parent_id::text as run, step, count(*)::int as n, min(status) as status from executor.executions
     where parent_id = any($1) group by 1, 2`,
    [pipelines.map(({ id }) => id)],
  );
  const whole = pipelines.length * (LM_STEPS.length + OTHER_STEPS - 1);
  return [
    ...(steps.length === whole ? [] : [`pipelines have ${steps.length} steps instead of ${whole}`]),
    ...steps.filter(({ n, status }) => n !== 1 || status !== 'completed').map((step) => `step ${JSON.stringify(step)}`),
  ];
}

async function faultsOfBatch({ http, postgres }: Ground, { batch }: Accepted): Promise<string[]> {
  const said = demand(await http.get(`/v1/batches/${batch}`), 200);
  const items = await query(
    postgres.url,
    `select status, count(*)::int as n from executor.executions where labels ->> 'batch' = $1 group by 1`,
    [batch],
  );
  const got = JSON.stringify([said.status, said.completedCount, items]);
  const wanted = JSON.stringify([
    'BATCH_STATUS_COMPLETED',
    String(ITEM_COUNT),
    [{ status: 'completed', n: ITEM_COUNT }],
  ]);
  return got === wanted ? [] : [`the batch stands as ${got}`];
}

async function faultsOfJob(ground: Ground, { job, program }: Accepted): Promise<string[]> {
  const { status, scoreBefore, scoreAfter, resultVersion, fault, evaluationBefore, evaluationAfter } = await readJob(
    ground,
    job,
  );
  const got = JSON.stringify([status, scoreBefore, scoreAfter, resultVersion]);
  const measured = await query(
    ground.postgres.url,
    `select e.id, e.status, count(r.*)::int as n from executor.evaluations e
     left join executor.evaluation_results r on r.evaluation_id = e.id and r.reason = '' where e.id = any($1) group by 1, 2`,
    [[evaluationBefore, evaluationAfter]],
  );
  const {
    status: after,
    latestVersion,
    optimizationHistory,
  } = demand(await ground.http.get(`/v1/programs/${program}`), 200);
  const left = JSON.stringify([after, latestVersion, (optimizationHistory as unknown[]).length]);
  return [
    ...(got === JSON.stringify(['OPTIMIZATION_STATUS_COMPLETED', 0, 1, 2])
      ? []
      : [`the job ended as ${got} ${JSON.stringify(fault)}`]),
    ...(left === JSON.stringify(['PROGRAM_STATUS_READY', 2, 1]) ? [] : [`the program was left as ${left}`]),
    ...(measured.length === 2 && measured.every(({ n, status: end }) => n === HELD_OUT_COUNT && end === 'completed')
      ? []
      : [`the versions were measured as ${JSON.stringify(measured)}`]),
  ];
}
