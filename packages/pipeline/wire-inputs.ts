import { parseSpec } from '@signet/signature/parser.ts';
import { printSpec, printType } from '@signet/signature/print.ts';
import { SignatureError } from '@signet/signature/signature-error.ts';
import { type Field, isOptional, type Type } from '@signet/signature/types.ts';
import { type Draft, inputPath } from './draft.ts';
import { at, type Faults } from './fault.ts';
import type { Binding } from './pipeline.ts';
import { shapeOfValue, typeOfShape } from './shape.ts';
import { resultFields } from './told-fields.ts';
import { anyType } from './type-fit.ts';

/** The inputs of a pipeline while its steps are wired: those that the spec says, or those that turn out to be needed. */
export type Inputs = {
  /** False if the spec says none: then each that is needed is one. */
  readonly isStated: boolean;
  readonly fields: Map<string, Field>;
};

/** What a step can be given without saying so: what came before it, nearest first. */
export type Before = readonly Draft[];

/**
 * Gives a step without `input` one: each field by its name out of the step's parameters, else the results of earlier steps, the nearest
 * first, else the input of the run. Parameters of a step with an `input` are added to it. A step of a group sees what is before its group.
 */
export function wireInput(draft: Draft, before: Before, inputs: Inputs, faults: Faults): void {
  const { body } = draft;
  if (body.kind === 'group') for (const step of body.steps) wireInput(step, before, inputs, faults);
  if (draft.compensate !== undefined) wireInput(draft.compensate, before, inputs, faults);
  if (draft.undo !== undefined) wireInput(draft.undo, before, inputs, faults);
  if (body.kind === 'group' || body.kind === 'action') return;
  if (draft.input !== undefined) addParameters(draft, faults);
  else if (draft.fields !== undefined && draft.fields !== 'unchecked')
    wireFields(draft, draft.fields.inputs, before, inputs, faults);
  else if (body.kind === 'function') wireWhole(draft, before, inputs);
  else if (body.kind === 'python' && draft.parameters.size === 0) {
    faults.add(inputPath(draft), 'REQUIRED', 'is required: an object with the keywords of the call');
  } else draft.input = { kind: 'object', members: literals(draft) };
  if (body.kind === 'signature' && body.signature === '') nameSignature(draft, inputs, faults);
}

function addParameters(draft: Draft, faults: Faults): void {
  if (draft.parameters.size === 0) return;
  const members = membersOf(draft.input);
  if (members === undefined) {
    const [first = ''] = draft.parameters.keys();
    faults.add(at(draft.path, first), 'FIELD_UNKNOWN', 'a parameter needs an `input` that is an object of fields');
    return;
  }
  const all = new Map(members);
  for (const [name, value] of draft.parameters) {
    if (all.has(name)) faults.add(at(draft.path, name), 'DUPLICATE', '`input` has it already');
    else all.set(name, { kind: 'literal', value });
  }
  draft.input = { kind: 'object', members: all };
}

/** The members of a binding that is known to be an object. */
export function membersOf(binding: Binding | undefined): ReadonlyMap<string, Binding> | undefined {
  if (binding?.kind === 'object') return binding.members;
  if (binding?.kind !== 'literal' || !(binding.value instanceof Map)) return undefined;
  return new Map([...binding.value].map(([name, value]) => [name, { kind: 'literal', value }]));
}

function literals(draft: Draft): Map<string, Binding> {
  return new Map([...draft.parameters].map(([name, value]) => [name, { kind: 'literal', value }]));
}

function wireFields(draft: Draft, fields: readonly Field[], before: Before, inputs: Inputs, faults: Faults): void {
  const members = new Map<string, Binding>();
  for (const field of fields) {
    if (draft.parameters.has(field.name)) continue;
    const found = findField(field, before, inputs);
    if (found !== undefined) members.set(field.name, found);
    else if (!isOptional(field)) {
      const message = `no earlier step makes \`${field.name}\`, and the pipeline has no such input`;
      faults.add(inputPath(draft, field.name), 'INPUT_MISSING', message);
    }
  }
  for (const [name, literal] of literals(draft)) members.set(name, literal);
  draft.input = { kind: 'object', members };
}

function findField(field: Field, before: Before, inputs: Inputs): Binding | undefined {
  for (const { id, fields } of before) {
    if (fields === undefined || fields === 'unchecked') continue;
    if (fields.outputs.some(({ name }) => name === field.name))
      return { kind: 'ref', root: 'steps', path: [id, field.name] };
  }
  if (!inputs.isStated && !inputs.fields.has(field.name)) {
    const { registered: _, description: __, ...plain } = field;
    inputs.fields.set(field.name, plain);
  }
  return inputs.fields.has(field.name) ? { kind: 'ref', root: 'input', path: [field.name] } : undefined;
}

/** A function without `input` is given the whole result of the step before it. */
function wireWhole(draft: Draft, before: Before, inputs: Inputs): void {
  const [previous] = before;
  if (draft.parameters.size > 0) draft.input = { kind: 'object', members: literals(draft) };
  else if (previous !== undefined) draft.input = { kind: 'ref', root: 'steps', path: [previous.id] };
  else if (inputs.isStated) draft.input = { kind: 'ref', root: 'input', path: [] };
}

/** A signature that was not written takes what the step is given, and answers with a `response`. */
function nameSignature(draft: Draft, inputs: Inputs, faults: Faults): void {
  const { body } = draft;
  const path = at(draft.path, 'signature');
  const members = membersOf(draft.input);
  if (body.kind !== 'signature' || draft.fields === 'unchecked') return;
  if (members === undefined || members.size === 0) {
    faults.add(path, 'REQUIRED', 'is required where `input` names no fields');
    return;
  }
  const fields = [...members].map(([name, binding]) => `${name}: ${printType(typeOf(binding, inputs))}`);
  try {
    const spec = parseSpec(`${fields.join(', ')} -> response: str`);
    body.signature = printSpec(spec);
    draft.fields = { inputs: spec.inputs, outputs: resultFields(body.module, spec.outputs) };
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    faults.add(
      path,
      'SIGNATURE_INVALID',
      `none was given, and none can be made of the names in \`input\`: ${error.message}`,
    );
  }
}

function typeOf(binding: Binding, inputs: Inputs): Type {
  if (binding.kind === 'literal') {
    const type = typeOfShape(shapeOfValue(binding.value));
    return type.kind === 'none' ? anyType : type;
  }
  if (binding.kind !== 'ref' || binding.root !== 'input' || binding.path.length !== 1) return anyType;
  return inputs.fields.get(String(binding.path[0]))?.type ?? anyType;
}
