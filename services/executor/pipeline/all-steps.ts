import type { Pipeline, Step } from '@signet/pipeline/pipeline.ts';

/** Steps with all that is in them: those of groups, and those that stand in for others or undo them. */
export function* allSteps(steps: readonly Step[]): Generator<Step> {
  for (const step of steps) {
    yield step;
    if (step.kind === 'group') yield* allSteps(step.steps);
    yield* allSteps([step.compensate, step.undo].filter((other) => other !== undefined));
  }
}

const known = new WeakMap<Pipeline, ReadonlySet<string>>();

/** The ids of the steps that undo others, with those of groups that do. */
export function undoIds(pipeline: Pipeline): ReadonlySet<string> {
  let ids = known.get(pipeline);
  if (ids === undefined) {
    const undos = [...allSteps(pipeline.steps)].flatMap(({ undo }) => (undo === undefined ? [] : [undo]));
    ids = new Set([...allSteps(undos)].map(({ id }) => id));
    known.set(pipeline, ids);
  }
  return ids;
}
