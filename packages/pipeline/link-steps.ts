import { suggest } from '@signet/signature/suggest.ts';
import { type Draft, everyDraft, inputPath } from './draft.ts';
import { at, type Faults, shown } from './fault.ts';
import type { Binding } from './pipeline.ts';
import { type PlacedReference, referencesOf } from './references.ts';
import type { Inputs } from './wire-inputs.ts';

/** The outermost steps, and what else is known by an id. */
export type Graph = {
  /** Those that run of themselves, in the order of the spec. */
  readonly steps: readonly Draft[];
  readonly byId: ReadonlyMap<string, Draft>;
  /** Of every other id the outermost step that it belongs to. */
  readonly owners: ReadonlyMap<string, string>;
};

/** Takes the steps that only stand in for others out of the graph and puts them where they are named. */
export function placeCompensations(drafts: readonly Draft[], faults: Faults): Draft[] {
  const byId = new Map(drafts.map((draft) => [draft.id, draft]));
  const taken = new Map<string, string>();
  for (const draft of everyDraft(drafts)) {
    const named = draft.compensatedBy;
    if (named === undefined) continue;
    const path = at(draft.path, 'compensate');
    const helper = byId.get(named);
    const owner = taken.get(named);
    if (helper === undefined) {
      faults.add(path, 'STEP_UNKNOWN', `there is no step \`${shown(named)}\`${suggest(named, byId.keys())}`);
    } else if (helper === draft) faults.add(path, 'CYCLE', 'a step cannot stand in for itself');
    else if (owner !== undefined) {
      faults.add(path, 'DUPLICATE', `\`${shown(named)}\` stands in for \`${owner}\` already; write the step here`);
    } else if (namesOthers(helper)) {
      faults.add(
        path,
        'INVALID',
        `\`${shown(named)}\` holds steps that name others to stand in for them; write those there`,
      );
    } else {
      taken.set(named, draft.id);
      draft.compensate = asHelper(helper, faults);
    }
  }
  return drafts.filter(({ id }) => !taken.has(id));
}

// Else two groups could stand in for steps of each other, without end.
function namesOthers(helper: Draft): boolean {
  return [...everyDraft([helper])].some((inner) => inner !== helper && inner.compensatedBy !== undefined);
}

function asHelper(draft: Draft, faults: Faults): Draft {
  const { statedNeeds, when, compensate, compensatedBy, undo } = draft;
  const given = { needs: statedNeeds, when, compensate: compensate ?? compensatedBy, undo };
  for (const [key, value] of Object.entries(given)) {
    if (value !== undefined)
      faults.add(at(draft.path, key), 'INVALID', 'a step that stands in for another has none of this');
  }
  const none = { statedNeeds: undefined, when: undefined, compensate: undefined, compensatedBy: undefined };
  return { ...draft, ...none, undo: undefined, onError: 'fail' };
}

/** Gathers what is known by an id. */
export function graphOf(steps: readonly Draft[]): Graph {
  const owners = new Map<string, string>();
  for (const step of steps) for (const inner of everyDraft([step])) if (inner !== step) owners.set(inner.id, step.id);
  return { steps, byId: new Map(steps.map((step) => [step.id, step])), owners };
}

/** Finds what each step needs, and what it looks at that is not there. */
export function linkSteps(graph: Graph, inputs: Inputs, faults: Faults): void {
  for (const [index, step] of graph.steps.entries()) {
    const needs = new Set<string>();
    visit({ graph, inputs, faults, outermost: step, needs }, step, 'step');
    const previous = graph.steps[index - 1];
    if (step.isChained && step.statedNeeds === undefined && previous !== undefined) needs.add(previous.id);
    step.needs = inOrder(needs, graph);
  }
}

/** Finds what the return looks at that is not there. */
export function linkReturn(graph: Graph, inputs: Inputs, binding: Binding, path: string, faults: Faults): Set<string> {
  const needs = new Set<string>();
  const link = { graph, inputs, faults, outermost: undefined, needs };
  for (const reference of referencesOf(binding, path)) follow(link, reference, 'step');
  return needs;
}

type Link = {
  readonly graph: Graph;
  readonly inputs: Inputs;
  readonly faults: Faults;
  /** The outermost step that it is about; undefined for the return. */
  readonly outermost: Draft | undefined;
  readonly needs: Set<string>;
};

function visit(link: Link, draft: Draft, role: 'step' | 'compensate' | 'undo'): void {
  const own = new Set<string>();
  const inner = { ...link, needs: own };
  for (const reference of referencesOf(draft.input, inputPath(draft))) follow(inner, reference, role);
  for (const reference of referencesOf(draft.when, at(draft.path, 'when'))) follow(inner, reference, role);
  for (const [index, need] of (draft.statedNeeds ?? []).entries()) {
    const path = at(at(draft.path, 'needs'), index);
    follow(inner, { root: 'steps', path: [need], at: path, isExpression: false }, role);
  }
  if (draft.body.kind === 'group') for (const step of draft.body.steps) visit(inner, step, role);
  // Helpers need nothing of their own: who runs them has waited for all of it.
  if (role === 'step') draft.needs = inOrder(own, link.graph);
  if (draft.compensate !== undefined) visit(inner, draft.compensate, 'compensate');
  if (draft.undo !== undefined) visit(inner, draft.undo, 'undo');
  for (const need of own) link.needs.add(need);
}

function inOrder(needs: ReadonlySet<string>, graph: Graph): string[] {
  return graph.steps.flatMap(({ id }) => (needs.has(id) ? [id] : []));
}

function follow(link: Link, reference: PlacedReference, role: 'step' | 'compensate' | 'undo'): void {
  const { faults, inputs } = link;
  const [name] = reference.path;
  if (reference.root === 'error') {
    if (role === 'step') faults.add(reference.at, 'INVALID', '`error` is there for compensations and undo steps alone');
  } else if (reference.root === 'input') {
    if (typeof name !== 'string' || inputs.fields.has(name)) return;
    if (inputs.isStated) {
      const message = `the pipeline has no input \`${shown(name)}\`${suggest(name, inputs.fields.keys())}`;
      faults.add(reference.at, 'FIELD_UNKNOWN', message);
    } else inputs.fields.set(name, { name, type: { kind: 'any' }, constraints: [] });
  } else followStep(link, reference, String(name), role);
}

function followStep(link: Link, { at: path }: PlacedReference, id: string, role: string): void {
  const { graph, faults, outermost, needs } = link;
  const owner = graph.owners.get(id);
  if (id === outermost?.id) {
    if (role !== 'undo') faults.add(path, 'CYCLE', `\`${id}\` cannot look at its own result`);
  } else if (graph.byId.has(id)) needs.add(id);
  else if (owner === undefined) {
    const hint = suggest(id, graph.byId.keys());
    faults.add(path, 'STEP_UNKNOWN', `there is no step \`${shown(id)}\`${hint}`);
  } else if (graph.byId.get(owner)?.body.kind === 'group') {
    const inGroup = `\`${id}\` stands in \`${owner}\``;
    const message =
      owner === outermost?.id ? 'steps of one group cannot look at each other' : `write \`steps.${owner}.${id}\``;
    faults.add(path, owner === outermost?.id ? 'CYCLE' : 'STEP_UNKNOWN', `${inGroup}; ${message}`);
  } else faults.add(path, 'UNREACHABLE', `\`${id}\` runs only if \`${owner}\` fails; look at \`${owner}\``);
}
