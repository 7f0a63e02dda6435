import { JsonNumber } from './json.ts';
import type { LoweredField, LoweredKind, LoweredType } from './lower.ts';
import { parseJson } from './parse-json.ts';
import { parseType } from './parse-type.ts';
import { fitDefault, isConstraintName } from './parser.ts';
import { printLiteral, printType } from './print.ts';
import { SignatureError } from './signature-error.ts';
import { checkSpec } from './spec-check.ts';
import type { Constraint, Field, LiteralMember, SignatureSpec, Type } from './types.ts';

/** Turns the fields of a Python signature class, as data, into a checked signature. Throws SignatureError or JsonError. */
export function liftSpec(fields: readonly LoweredField[]): SignatureSpec {
  const lift = (output: boolean) => fields.filter((field) => field.output === output).map(liftField);
  return checkSpec({ inputs: lift(false), outputs: lift(true) });
}

function liftField(field: LoweredField): Field {
  const bare: Field = {
    name: field.name.normalize('NFKC'),
    type: liftType(field.type),
    constraints: field.constraints.map(liftConstraint),
    ...(field.description !== '' && { description: field.description }),
  };
  if (field.defaultJson === '') return bare;
  const fitted = fitDefault(bare, parseJson(field.defaultJson));
  if (typeof fitted === 'string') throw new SignatureError('SIGNATURE_TYPE', fitted);
  return { ...bare, default: fitted.value };
}

function liftConstraint({ name, value }: { name: string; value: string }): Constraint {
  const bound = parseJson(value);
  if (isConstraintName(name) && bound instanceof JsonNumber) return { name, value: bound };
  throw new SignatureError('SIGNATURE_TYPE', `unknown constraint \`${name.slice(0, 40)}\``);
}

/** Turns one lowered type back; `dict[str, Any]` comes back as `dict`. Throws SignatureError for a shape that no type has. */
export function liftType(type: LoweredType): Type {
  // Through the text, so that the rules of types have one home.
  return parseType(pythonText(type));
}

const bareNames: Partial<Record<LoweredKind, string>> = {
  STR: 'str',
  INT: 'int',
  FLOAT: 'float',
  BOOL: 'bool',
  ANY: 'Any',
  NONE: 'None',
  LIST: 'list',
  DICT: 'dict',
  BARE_DICT: 'dict',
  TUPLE: 'tuple',
  TUPLE_VARIADIC: 'tuple',
  SET: 'set',
};

function pythonText({ kind, args, valuesJson }: LoweredType): string {
  if (kind === 'LITERAL') return printType({ kind: 'literal', members: valuesJson.map((text) => liftMember(text)) });
  const inside = args.map(pythonText);
  if (kind === 'UNION') return `Union[${inside.join(', ')}]`;
  if (kind === 'TUPLE_VARIADIC' && inside.length > 0) inside.push('...');
  return inside.length > 0 ? `${bareNames[kind]}[${inside.join(', ')}]` : (bareNames[kind] ?? String(kind));
}

function liftMember(text: string): LiteralMember {
  const member = parseJson(text);
  if (member === null || typeof member !== 'object' || member instanceof JsonNumber) return member;
  throw new SignatureError(
    'SIGNATURE_TYPE',
    `\`${printLiteral(member).slice(0, 40)}\` cannot be a member of a \`Literal\``,
  );
}
