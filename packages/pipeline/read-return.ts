import { fieldNameProblem } from '@signet/signature/field-name.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { utf8Length } from '@signet/signature/lexer.ts';
import { limits } from '@signet/signature/limits.ts';
import { printType } from '@signet/signature/print.ts';
import type { Field, Type } from '@signet/signature/types.ts';
import { checkFlow, checkReferences, type Shapes, shapeOf } from './check-types.ts';
import { at, type Faults } from './fault.ts';
import type { Graph } from './link-steps.ts';
import type { Binding } from './pipeline.ts';
import { parseReference, readBinding, unreadable } from './read-binding.ts';
import { printFields, readFields } from './read-fields.ts';
import { memberShape, type Shape, typeOfShape } from './shape.ts';
import { anyType } from './type-fit.ts';

/** Reads what a pipeline gives back: the id of a step, or a value made of results; the last step's result if nothing is said. */
export function readReturn(object: JsonObject, graph: Graph, path: string, faults: Faults): Binding {
  const given = object.get('return') ?? null;
  if (given === null) {
    const last = graph.steps.at(-1);
    return last === undefined ? unreadable : resultOf(last.id);
  }
  if (typeof given === 'string') {
    const isId = graph.byId.has(given) || !/[.(]/.test(given);
    return isId ? resultOf(given) : (parseReference(given) ?? resultOf(given));
  }
  const before = faults.count;
  const binding = readBinding(given, path, faults);
  if (binding.kind === 'literal' && faults.count === before) {
    faults.add(path, 'INVALID', 'must be the id of a step, or be made of results: it is the same for every run');
  }
  return binding;
}

function resultOf(id: string): Binding {
  return { kind: 'ref', root: 'steps', path: [id] };
}

/**
 * Checks what a pipeline gives back, and finds the fields of it: the stated `outputs`, else what is known of the return; nothing if that is
 * not known.
 */
export function checkReturn(
  { object, root, back }: { readonly object: JsonObject; readonly root: string; readonly back: Binding },
  shapes: Shapes,
  faults: Faults,
): readonly Field[] {
  checkReferences(back, at(root, 'return'), shapes, faults);
  const shape = shapeOf(back, shapes);
  const stated = object.get('outputs') ?? null;
  if (stated === null) return fieldsOf(shape);
  const path = at(root, 'outputs');
  const fields = readFields(stated, path, faults) ?? [];
  for (const field of fields) {
    const member = memberShape(shape, field.name);
    const fieldPath = at(path, field.name);
    if (member === undefined) faults.add(fieldPath, 'FIELD_UNKNOWN', `nothing makes \`${field.name}\``);
    else checkFlow({ kind: 'ref', root: 'input', path: ['it'] }, field, fieldPath, only(member), faults);
  }
  return fields;
}

function only(member: Shape): Shapes {
  return { input: { kind: 'object', members: new Map([['it', member]]), canBeNull: false }, steps: new Map() };
}

function fieldsOf(shape: Shape): readonly Field[] {
  if (shape.kind === 'value' || shape.canBeNull || shape.members.size === 0) return [];
  if (shape.members.size > limits.fieldsMax / 2) return [];
  const fields = [...shape.members].map(([name, member]) => ({
    name,
    type: plainType(typeOfShape(member)),
    constraints: [],
  }));
  const areNames = fields.every(
    ({ name }) => fieldNameProblem(name, true) === undefined && fieldNameProblem(name, false) === undefined,
  );
  return areNames && utf8Length(printFields(fields)) <= limits.specBytesMax / 2 ? fields : [];
}

function plainType(type: Type): Type {
  const isSayable = type.kind !== 'none' && !(type.kind === 'union' && type.members.length > limits.unionMembersMax);
  return isSayable && printType(type).length <= 1000 ? type : anyType;
}
