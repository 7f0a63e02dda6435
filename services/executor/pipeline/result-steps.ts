import type { Binding, Pipeline } from '@signet/pipeline/pipeline.ts';

const known = new WeakMap<Pipeline, ReadonlySet<string>>();

/** True for a step whose result is, or is part of, what a run gives back: its text is worth hearing as it comes. */
export function writesResult(pipeline: Pipeline, step: string): boolean {
  let steps = known.get(pipeline);
  if (steps === undefined) {
    steps = new Set(stepsIn(pipeline.return));
    known.set(pipeline, steps);
  }
  return steps.has(step);
}

function stepsIn(binding: Binding): string[] {
  if (binding.kind === 'ref') return binding.root === 'steps' ? binding.path.slice(0, 2).map(String) : [];
  if (binding.kind === 'object') return [...binding.members.values()].flatMap(stepsIn);
  return binding.kind === 'list' ? binding.items.flatMap(stepsIn) : [];
}
