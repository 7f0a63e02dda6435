import { findUnstorableText, isObject, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { utf8Length } from '@signet/signature/lexer.ts';
import { limits } from '@signet/signature/limits.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { checkStep, type Shapes } from './check-types.ts';
import { deriveInputs } from './derive-inputs.ts';
import { at, type Fault, type FaultReason, Faults } from './fault.ts';
import { Keys } from './keys.ts';
import type { Known } from './known.ts';
import { type Graph, graphOf, linkReturn, linkSteps, placeCompensations } from './link-steps.ts';
import { orderSteps, refuseUnused } from './order-steps.ts';
import { type Pipeline, pipelineLimits } from './pipeline.ts';
import { printFields, readFields } from './read-fields.ts';
import { checkReturn, readReturn } from './read-return.ts';
import { readSteps } from './read-step.ts';
import { shapeOfFields } from './shape.ts';
import { countSteps, statedIds } from './spec-names.ts';
import { toStep } from './to-step.ts';
import { type Inputs, wireInput } from './wire-inputs.ts';

/** A pipeline, or all that is wrong with its spec, at most 100 faults. */
export type ReadPipeline = { readonly pipeline: Pipeline | undefined; readonly faults: readonly Fault[] };

/**
 * Reads a spec, in its short or its full form, and checks all of it: names, types of fields that meet, cycles, steps that can never run,
 * what it returns. It never throws for what the spec says. Paths begin with `root`.
 */
export function readPipeline(spec: JsonValue, known: Known, root = 'pipeline_spec'): ReadPipeline {
  const faults = new Faults();
  const object = checkSize(spec, root, known, faults);
  if (object === undefined) return { pipeline: undefined, faults: faults.all() };
  const graph = readGraph(object, known, root, faults);
  const inputs = readInputs(object, root, faults);
  for (const [index, step] of graph.steps.entries()) {
    wireInput(step, graph.steps.slice(0, index).reverse(), inputs, faults);
  }
  deriveInputs(graph, inputs);
  linkSteps(graph, inputs, faults);
  const back = readReturn(object, graph, at(root, 'return'), faults);
  const returned = linkReturn(graph, inputs, back, at(root, 'return'), faults);
  const ordered = orderSteps(graph, faults);
  checkInputs(inputs, root, faults);
  const shapes: Shapes = { input: shapeOfFields([...inputs.fields.values()]), steps: new Map() };
  for (const step of ordered) shapes.steps.set(step.id, checkStep(step, shapes, faults));
  const outputs = checkReturn({ object, root, back }, shapes, faults);
  // Where a name leads nowhere, what it was to lead to only seems to be of no use.
  if (!known.isTrusting && !faults.has(misleading)) refuseUnused(graph, returned, faults);
  if (faults.count > 0) return { pipeline: undefined, faults: faults.all() };
  const pipeline = { inputs: [...inputs.fields.values()], outputs, steps: ordered.map(toStep), return: back };
  return { pipeline, faults: [] };
}

const misleading: readonly FaultReason[] = ['INVALID', 'STEP_UNKNOWN', 'EXPRESSION', 'CYCLE', 'UNREACHABLE'];

function checkSize(spec: JsonValue, root: string, known: Known, faults: Faults): JsonObject | undefined {
  const { stepsMax, specBytesMax } = pipelineLimits;
  if (!isObject(spec)) {
    faults.add(root, 'INVALID', 'must be an object with `steps`');
    return undefined;
  }
  const count = countSteps(spec, stepsMax + 1);
  if (count > stepsMax) {
    faults.add(at(root, 'steps'), 'TOO_MANY', `has more than ${stepsMax} steps, those in groups included`);
    return undefined;
  }
  if (known.isTrusting) return spec;
  if (utf8Length(writeJson(spec)) > specBytesMax) {
    faults.add(root, 'TOO_LONG', `must have at most ${specBytesMax} bytes`);
    return undefined;
  }
  const unstorable = findUnstorableText(spec, root);
  if (unstorable === undefined) return spec;
  faults.add(unstorable, 'TEXT_INVALID', 'must not hold \\u0000 or half a surrogate pair');
  return undefined;
}

function readGraph(object: JsonObject, known: Known, root: string, faults: Faults): Graph {
  const keys = new Keys(object, root, faults);
  keys.only(['inputs', 'steps', 'return', 'outputs']);
  keys.demand('steps', 'a list of steps');
  const given = keys.list('steps') ?? [];
  const path = at(root, 'steps');
  if (keys.has('steps') && keys.list('steps')?.length === 0)
    faults.add(path, 'REQUIRED', 'must have at least one step');
  const context = { known, faults, ids: new Map<string, string>(), stated: statedIds(object) };
  return graphOf(placeCompensations(readSteps(context, given, path, 'outermost', 0), faults));
}

function readInputs(object: JsonObject, root: string, faults: Faults): Inputs {
  const given = object.get('inputs') ?? null;
  if (given === null) return { isStated: false, fields: new Map() };
  const path = at(root, 'inputs');
  const read = readFields(given, path, faults);
  const fields = new Map((read ?? []).map((field) => [field.name, field]));
  if (fields.size !== (read ?? []).length) faults.add(path, 'DUPLICATE', 'a field stands twice');
  // Of inputs that could not be read nobody can say that one is missing.
  return { isStated: read !== undefined, fields };
}

function checkInputs({ fields }: Inputs, root: string, faults: Faults): void {
  const path = at(root, 'inputs');
  if (fields.size === 0 && faults.count === 0) faults.add(path, 'REQUIRED', 'a pipeline needs at least one input');
  const most = limits.fieldsMax / 2;
  if (fields.size > most) faults.add(path, 'TOO_MANY', `a pipeline has at most ${most} inputs`);
  if (utf8Length(printFields([...fields.values()])) > limits.specBytesMax / 2) {
    faults.add(
      path,
      'TOO_LONG',
      `the inputs have more than ${limits.specBytesMax / 2} bytes in the syntax of signatures`,
    );
  }
}
