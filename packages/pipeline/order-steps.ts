import { type Draft, everyDraft } from './draft.ts';
import type { Faults } from './fault.ts';
import type { Graph } from './link-steps.ts';

/** Orders the steps so that each comes after those that it needs, otherwise as in the spec. Cycles are faults; their steps are left out. */
export function orderSteps(graph: Graph, faults: Faults): Draft[] {
  const waiting = new Map(graph.steps.map((step) => [step.id, new Set(step.needs)]));
  const ordered: Draft[] = [];
  for (let next = firstFree(graph, waiting); next !== undefined; next = firstFree(graph, waiting)) {
    ordered.push(next);
    waiting.delete(next.id);
    for (const needs of waiting.values()) needs.delete(next.id);
  }
  const reported = new Set<string>();
  for (const step of graph.steps) {
    if (!waiting.has(step.id) || reported.has(step.id)) continue;
    const cycle = cycleFrom(step, graph, waiting);
    if (cycle.some((id) => reported.has(id))) continue;
    for (const id of cycle) reported.add(id);
    const start = graph.byId.get(cycle[0] ?? '') ?? step;
    faults.add(start.path, 'CYCLE', `the steps wait for each other: ${[...cycle, cycle[0]].join(' → ')}`);
  }
  return ordered;
}

function firstFree(graph: Graph, waiting: ReadonlyMap<string, ReadonlySet<string>>): Draft | undefined {
  return graph.steps.find(({ id }) => waiting.get(id)?.size === 0);
}

/** The cycle on which one comes when one goes from a step that waits to any that it waits for, and on. */
function cycleFrom(step: Draft, graph: Graph, waiting: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const way: string[] = [];
  let id = step.id;
  while (!way.includes(id)) {
    way.push(id);
    id = graph.byId.get(id)?.needs.find((need) => waiting.has(need)) ?? id;
  }
  const cycle = way.slice(way.indexOf(id));
  // It begins with the step that stands first in the spec.
  const first = graph.steps.find((candidate) => cycle.includes(candidate.id))?.id ?? id;
  const from = cycle.indexOf(first);
  return [...cycle.slice(from), ...cycle.slice(0, from)];
}

/**
 * Adds a fault for each function or signature whose result nobody uses. Modules and Python may be called for what they do, an action checks
 * what it is given, and a step with an undo has said that it does something.
 */
export function refuseUnused(graph: Graph, returned: ReadonlySet<string>, faults: Faults): void {
  const used = new Set(returned);
  for (const step of graph.steps) if (hasEffect(step)) used.add(step.id);
  // A set may grow while it is walked.
  for (const id of used) for (const need of graph.byId.get(id)?.needs ?? []) used.add(need);
  for (const { id, path } of graph.steps) {
    if (!used.has(id)) faults.add(path, 'UNUSED', `nothing uses the result of \`${id}\``);
  }
}

function hasEffect(step: Draft): boolean {
  return [...everyDraft([step])].some(
    ({ body, undo }) => ['module', 'python', 'action'].includes(body.kind) || undo !== undefined,
  );
}
