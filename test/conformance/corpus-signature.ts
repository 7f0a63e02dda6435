import { JsonNumber, type JsonObject } from '@signet/signature/json.ts';
import { parseType } from '@signet/signature/parse-type.ts';
import { SignatureError } from '@signet/signature/signature-error.ts';
import type { Constraint, ConstraintName, Field, InfNanNote, Type } from '@signet/signature/types.ts';
import { asObject, listAt, objectAt, textAt, UntellableError } from './record.ts';
import type { RecordedSignature } from './signature-record.ts';

/**
 * Reads the signature of a hand-made case, whose types are Python's text. Throws UntellableError for classes of its maker.
 * Such a record does not tell a default but where it stands in the result, so `filled` gives it.
 */
export function readCorpusSignature(record: JsonObject, filled: JsonObject = new Map()): RecordedSignature {
  const signature = objectAt(record, 'signature');
  const fields = listAt(signature, 'fields').map((field) => asObject(field, 'a field'));
  const side = (kind: string): Field[] =>
    fields.filter((field) => field.get('kind') === kind).map((field) => readField(field, filled));
  return {
    spec: { inputs: side('input'), outputs: side('output') },
    instructions: textAt(signature, 'instructions'),
    module: 'predict',
  };
}

function readField(record: JsonObject, filled: JsonObject): Field {
  const name = textAt(record, 'name');
  const description = textAt(record, 'desc');
  const constraints = record.get('constraints');
  return {
    name,
    type: readAnnotation(textAt(record, 'annotation')),
    ...readConstraints(typeof constraints === 'string' ? constraints : ''),
    ...(record.get('required') === false && { default: filled.get(name) ?? null }),
    ...(description !== '' && description !== `\${${name}}` && { description }),
  };
}

function readAnnotation(annotation: string): Type {
  const text = annotation.replace(/^<class '([a-z]+)'>$/, '$1').replaceAll('typing.', '');
  if (text === 'dict') return { kind: 'dict', bare: true };
  try {
    return parseType(text, { mlTypes: [] });
  } catch (error) {
    if (error instanceof SignatureError) throw new UntellableError(`the type ${annotation.slice(0, 80)} is a class`);
    throw error;
  }
}

const WORDS: Readonly<Record<string, ConstraintName | 'allow_inf_nan'>> = {
  'greater than': 'gt',
  'greater than or equal to': 'ge',
  'less than': 'lt',
  'less than or equal to': 'le',
  'minimum length': 'min_length',
  'maximum length': 'max_length',
  'a multiple of the given number': 'multiple_of',
  "allow 'inf', '-inf', 'nan' values": 'allow_inf_nan',
};

function readConstraints(text: string): { constraints: Constraint[]; infNan?: InfNanNote } {
  const constraints: Constraint[] = [];
  let infNan: InfNanNote | undefined;
  for (const [, words = '', value = ''] of text.matchAll(/(allow 'inf', '-inf', 'nan' values|[a-z ]+): ([^,]+)/g)) {
    const name = WORDS[words.trim()];
    if (name === undefined) throw new Error(`unknown constraint ${words}`);
    if (name === 'allow_inf_nan') infNan = { allowed: value === 'True', before: constraints.length };
    else constraints.push({ name, value: new JsonNumber(value) });
  }
  return { constraints, ...(infNan && { infNan }) };
}
