import { constraintProblem } from './constraint.ts';
import { fieldNameProblem } from './field-name.ts';
import { isStorableText } from './json.ts';
import { limits } from './limits.ts';
import { requireCanonicalSize } from './parser.ts';
import { SignatureError } from './signature-error.ts';
import type { Field, SignatureSpec } from './types.ts';

/** Gives back a signature that was put together from parts, or throws SignatureError for what the spec form could not say. */
export function checkSpec(spec: SignatureSpec): SignatureSpec {
  const fields = [...spec.inputs, ...spec.outputs];
  if (spec.inputs.length === 0) throw refuse('a signature needs at least one input');
  if (spec.outputs.length === 0) throw refuse('a signature needs at least one output');
  if (fields.length > limits.fieldsMax) throw refuse(`a signature has at most ${limits.fieldsMax} fields`);
  const names = new Set<string>();
  for (const field of fields) {
    checkField(field, spec.outputs.includes(field));
    if (names.has(field.name)) throw refuse(`the field \`${field.name}\` stands twice`);
    names.add(field.name);
  }
  requireCanonicalSize(spec);
  return spec;
}

function checkField(field: Field, output: boolean): void {
  const problem = fieldNameProblem(field.name, output);
  if (problem) throw refuse(problem);
  if (field.type.kind === 'none') throw refuse(`\`${field.name}\`: \`None\` alone is no type of a field`);
  if (field.description !== undefined && !isStorableText(field.description)) {
    throw refuse(`\`${field.name}\`: the description holds a NUL or half a surrogate pair`);
  }
  for (let index = 0; index < field.constraints.length; index++) {
    const wrong = constraintProblem(field.type, field.constraints.slice(0, index), field.constraints[index]!);
    if (wrong) throw refuse(`\`${field.name}\`: ${wrong}`);
  }
}

function refuse(problem: string): SignatureError {
  return new SignatureError('SIGNATURE_TYPE', problem);
}
