import { isObject, type JsonValue } from '@signet/signature/json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { printType } from '@signet/signature/print.ts';
import { SignatureError } from '@signet/signature/signature-error.ts';
import { suggest } from '@signet/signature/suggest.ts';
import { admitsNone, type Field, isOptional } from '@signet/signature/types.ts';
import { checkValues } from '@signet/signature/value.ts';
import { type Draft, inputPath } from './draft.ts';
import { at, type Faults, shown } from './fault.ts';
import type { StepFields } from './known.ts';
import type { Binding } from './pipeline.ts';
import { referencesOf } from './references.ts';
import {
  canBeNull,
  either,
  memberShape,
  objectShape,
  orNull,
  type Shape,
  shapeOfFields,
  shapeOfValue,
  typeOfShape,
  unknownShape,
} from './shape.ts';
import { fits } from './type-fit.ts';
import { membersOf } from './wire-inputs.ts';

/** What is known of all that a binding may look at. */
export type Shapes = { readonly input: Shape; readonly steps: Map<string, Shape> };

/** Checks what a step is given against what it takes, and what it looks at against what is there; gives the shape of its result. */
export function checkStep(draft: Draft, shapes: Shapes, faults: Faults): Shape {
  checkReferences(draft.input, inputPath(draft), shapes, faults);
  checkReferences(draft.when, at(draft.path, 'when'), shapes, faults);
  const { body, fields, input } = draft;
  if (input !== undefined && fields !== undefined && fields !== 'unchecked')
    checkInput(draft, input, fields, shapes, faults);
  if (body.kind === 'action' && input !== undefined) checkSpecText(draft, input, faults);
  let shape = ownShape(draft, shapes, faults);
  if (draft.compensate !== undefined) shape = either(shape, checkStep(draft.compensate, shapes, faults));
  if (draft.undo !== undefined) checkStep(draft.undo, shapes, faults);
  return draft.when !== undefined || draft.onError === 'skip' ? orNull(shape) : shape;
}

function ownShape(draft: Draft, shapes: Shapes, faults: Faults): Shape {
  const { body, fields, input } = draft;
  if (body.kind === 'group') {
    const { steps, minSuccess } = body;
    const canFail = minSuccess !== undefined && minSuccess < steps.length;
    const members = steps.map((step): [string, Shape] => {
      const shape = checkStep(step, shapes, faults);
      return [step.id, canFail ? orNull(shape) : shape];
    });
    return objectShape(new Map(members));
  }
  if (fields !== undefined && fields !== 'unchecked') return shapeOfFields(fields.outputs);
  if (body.kind !== 'function') return unknownShape;
  if (body.function === 'merge_and_rank') return { kind: 'value', type: { kind: 'list' } };
  return body.function === 'value' && input !== undefined ? shapeOf(input, shapes) : unknownShape;
}

/** The shape of what a binding will be. */
export function shapeOf(binding: Binding, shapes: Shapes): Shape {
  switch (binding.kind) {
    case 'literal':
      return shapeOfValue(binding.value);
    case 'object':
      return objectShape(new Map([...binding.members].map(([name, member]) => [name, shapeOf(member, shapes)])));
    case 'list':
      return { kind: 'value', type: { kind: 'list' } };
    case 'cel':
      return unknownShape;
    case 'ref':
      return resolve(binding.root, binding.path, shapes) ?? unknownShape;
  }
}

function resolve(root: string, path: readonly (string | number)[], shapes: Shapes): Shape | undefined {
  if (root === 'error') return unknownShape;
  const [id, ...rest] = path;
  let shape = root === 'input' ? shapes.input : (shapes.steps.get(String(id)) ?? unknownShape);
  for (const key of root === 'input' ? path : rest) {
    const member = memberShape(shape, key);
    if (member === undefined) return undefined;
    shape = member;
  }
  return shape;
}

/** Adds a fault for each reference to a member that cannot be there. */
export function checkReferences(binding: Binding | undefined, path: string, shapes: Shapes, faults: Faults): void {
  for (const reference of referencesOf(binding, path)) {
    let shape = reference.root === 'steps' ? shapes.steps.get(String(reference.path[0])) : shapes.input;
    // What is no step and no input was found out when the steps were linked.
    if (reference.root === 'error' || shape === undefined) continue;
    const rest = reference.root === 'steps' ? reference.path.slice(1) : reference.path;
    for (const [index, key] of rest.entries()) {
      const member: Shape | undefined = memberShape(shape, key);
      if (member === undefined) {
        const isInput = reference.root === 'input' && index === 0;
        if (!isInput) faults.add(reference.at, 'FIELD_UNKNOWN', unknownMember(shape, key));
        break;
      }
      shape = member;
    }
  }
}

function unknownMember(shape: Shape, key: string | number): string {
  const name = `\`${shown(String(key))}\``;
  if (shape.kind === 'value') return `there is no ${name} in a value of type \`${printType(shape.type)}\``;
  const names = [...shape.members.keys()];
  const hint = suggest(String(key), names) || `; there are ${names.slice(0, 20).join(', ')}`;
  return `there is no ${name}${names.length === 0 ? '' : hint}`;
}

function checkInput(draft: Draft, input: Binding, fields: StepFields, shapes: Shapes, faults: Faults): void {
  const members = membersOf(input);
  if (members !== undefined) {
    for (const name of members.keys()) {
      if (fields.inputs.some((field) => field.name === name)) continue;
      const names = fields.inputs.map((field) => field.name);
      const hint = suggest(name, names) || `; there are ${names.join(', ')}`;
      faults.add(inputPath(draft, name), 'FIELD_UNKNOWN', `the step takes no \`${shown(name)}\`${hint}`);
    }
    for (const field of fields.inputs) {
      const binding = members.get(field.name);
      if (binding !== undefined) checkFlow(binding, field, inputPath(draft, field.name), shapes, faults);
      else missing(draft, field, faults);
    }
    return;
  }
  const shape = shapeOf(input, shapes);
  if (shape.kind === 'value') {
    if (!fits(shape.type, { kind: 'dict' })) {
      faults.add(
        inputPath(draft),
        'TYPE_MISMATCH',
        `is \`${printType(shape.type)}\`, and the step takes an object of fields`,
      );
    }
    return;
  }
  for (const field of fields.inputs) {
    const member = memberShape(shape, field.name);
    if (member === undefined) missing(draft, field, faults);
    else compare(member, field, inputPath(draft), faults);
  }
}

function missing(draft: Draft, field: Field, faults: Faults): void {
  if (isOptional(field)) return;
  faults.add(inputPath(draft, field.name), 'INPUT_MISSING', `is missing: the step needs \`${field.name}\``);
}

/** Adds a fault if a value, as far as it is known, is none of a field's. */
export function checkFlow(binding: Binding, field: Field, path: string, shapes: Shapes, faults: Faults): void {
  if (binding.kind !== 'literal') {
    compare(shapeOf(binding, shapes), field, path, faults);
    return;
  }
  const given = new Map([[field.name, binding.value]]);
  const result = checkValues([field], given, { root: '' });
  if (result.ok) return;
  const [first] = result.violations;
  faults.add(path, 'TYPE_MISMATCH', first?.description ?? 'does not fit');
}

function compare(shape: Shape, field: Field, path: string, faults: Faults): void {
  const type = typeOfShape(shape);
  if (fits(type, field.type)) return;
  const takes = `\`${field.name}\` takes \`${printType(field.type)}\``;
  const because = canBeNull(shape) && !admitsNone(field.type) ? '; a step that can be skipped has the result null' : '';
  faults.add(path, 'TYPE_MISMATCH', `is \`${printType(type)}\`, and ${takes}${because}`);
}

/** The one thing an action needs: a text to parse, which is read at once if it is there already. */
function checkSpecText(draft: Draft, input: Binding, faults: Faults): void {
  const binding = membersOf(input)?.get('spec');
  const text: JsonValue = binding?.kind === 'literal' && !isObject(binding.value) ? binding.value : null;
  if (typeof text !== 'string') return;
  try {
    parseSpec(text);
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    faults.add(inputPath(draft, 'spec'), 'SIGNATURE_INVALID', error.message);
  }
}
