import { JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import type {
  Constraint,
  ConstraintName,
  Field,
  InfNanNote,
  LiteralMember,
  SignatureSpec,
  Type,
} from '@signet/signature/types.ts';
import { asObject, listAt, objectAt, textAt } from './record.ts';

/** A record's signature in the registry's form, with what stands beside it in a program. */
export type RecordedSignature = {
  readonly spec: SignatureSpec;
  /** Empty means DSPy's own sentence. */
  readonly instructions: string;
  readonly module: 'predict' | 'chain_of_thought';
};

/** Reads the `signature` of a generated record. Fields that the module adds are left to the module. */
export function readSignature(record: JsonObject): RecordedSignature {
  const signature = objectAt(record, 'signature');
  const fields = listAt(signature, 'fields').map((field) => asObject(field, 'a field'));
  const own = fields.filter((field) => field.get('added') !== true);
  const side = (kind: string): Field[] => own.filter((field) => field.get('kind') === kind).map(readField);
  const source = signature.get('instructions_src');
  return {
    spec: { inputs: side('input'), outputs: side('output') },
    instructions: typeof source === 'string' ? source : '',
    module: signature.get('module') === 'ChainOfThought' ? 'chain_of_thought' : 'predict',
  };
}

function readField(record: JsonObject): Field {
  const description = record.get('desc_src');
  const fallback = record.get('default');
  return {
    name: textAt(record, 'name'),
    type: readType(objectAt(record, 'type')),
    ...readConstraints(record.get('constraint_args')),
    ...(typeof description === 'string' && description !== '' && { description }),
    ...(fallback !== undefined && { default: fallback }),
  };
}

function readConstraints(record: JsonValue | undefined): { constraints: Constraint[]; infNan?: InfNanNote } {
  const constraints: Constraint[] = [];
  if (!(record instanceof Map)) return { constraints };
  let infNan: InfNanNote | undefined;
  for (const [name, value] of record) {
    if (name === 'allow_inf_nan') infNan = { allowed: value === true, before: constraints.length };
    else if (value instanceof JsonNumber) constraints.push({ name: name as ConstraintName, value });
  }
  return { constraints, ...(infNan && { infNan }) };
}

function readType(record: JsonObject): Type {
  const kind = textAt(record, 't');
  const of = record.get('of');
  switch (kind) {
    case 'str':
    case 'int':
    case 'float':
    case 'bool':
    case 'any':
    case 'none':
      return { kind };
    case 'list':
    case 'set':
      return of === undefined ? { kind } : { kind, item: readType(asObject(of, 'of')) };
    case 'dict':
      return of === undefined
        ? { kind, bare: true }
        : { kind, key: { kind: 'str' }, value: readType(asObject(of, 'of')) };
    case 'tuple':
      if (of !== undefined) return { kind: 'tuple_variadic', item: readType(asObject(of, 'of')) };
      return { kind, items: listAt(record, 'items').map((item) => readType(asObject(item, 'an item'))) };
    case 'union':
      return { kind, members: listAt(record, 'of').map((member) => readType(asObject(member, 'a member'))) };
    case 'literal':
      return { kind, members: listAt(record, 'values').map(readMember) };
    default:
      throw new Error(`unknown type \`${kind}\``);
  }
}

function readMember(member: JsonValue): LiteralMember {
  if (member === null || typeof member !== 'object' || member instanceof JsonNumber) return member;
  throw new Error('a literal holds a container');
}
