import { isArray, JsonNumber, type JsonValue } from './json.ts';
import type { Field, SignatureSpec, Type } from './types.ts';

/** Writes the canonical text of a signature: equal for equal meaning, and parsed back to the same signature. */
export function printSpec(spec: SignatureSpec): string {
  return `${spec.inputs.map(printField).join(', ')} -> ${spec.outputs.map(printField).join(', ')}`;
}

/** Writes the canonical text of one field: `score: int(ge=0, le=10) = 5 'how good'`. */
export function printField(field: Field): string {
  let text = `${field.name}: ${printFieldType(field)}`;
  if (field.constraints.length > 0) {
    // Without the space the bounds would seem to belong to the last member.
    if (field.type.kind === 'union' && field.registered === undefined) text += ' ';
    text += `(${field.constraints.map(({ name, value }) => `${name}=${value.text}`).join(', ')})`;
  }
  if (field.default !== undefined) text += ` = ${printLiteral(field.default)}`;
  if (field.description !== undefined) text += ` ${quote(field.description)}`;
  return text;
}

/** Writes the type of a field as it was declared: the name of a registered type, or the text of its own. */
export function printFieldType({ registered, type }: Field): string {
  return registered ?? printType(type);
}

/** Writes the canonical text of a type; `Optional[X]` comes out as `X | None`. */
export function printType(type: Type): string {
  switch (type.kind) {
    case 'any':
      return 'Any';
    case 'none':
      return 'None';
    case 'list':
    case 'set':
      return type.item ? `${type.kind}[${printType(type.item)}]` : type.kind;
    case 'dict':
      return type.key && type.value ? `dict[${printType(type.key)}, ${printType(type.value)}]` : 'dict';
    case 'tuple':
      return `tuple[${type.items.map(printType).join(', ')}]`;
    case 'tuple_variadic':
      return type.item ? `tuple[${printType(type.item)}, ...]` : 'tuple';
    case 'union':
      return type.members.map(printType).join(' | ');
    case 'literal':
      return `Literal[${type.members.map(printLiteral).join(', ')}]`;
    case 'embedding':
      return type.dimension === undefined ? 'embedding' : `embedding[${type.dimension}]`;
    default:
      return type.kind;
  }
}

/** Writes a value as a spec does: Python's `True`, `False` and `None`, single quotes, numbers in their own digits. */
export function printLiteral(value: JsonValue): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return quote(value);
  if (value instanceof JsonNumber) return value.text;
  if (isArray(value)) return `[${value.map(printLiteral).join(', ')}]`;
  return `{${[...value].map(([key, member]) => `${quote(key)}: ${printLiteral(member)}`).join(', ')}}`;
}

const named: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', "'": "\\'", '\\': '\\\\' };

function quote(text: string): string {
  const inside = text.replace(
    /['\\\p{Cc}]/gu,
    (character) => named[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `'${inside}'`;
}
