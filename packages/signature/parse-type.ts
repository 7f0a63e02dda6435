import { Cursor, describeToken, type ParseOptions } from './cursor.ts';
import { JsonNumber } from './json.ts';
import type { Token } from './lexer.ts';
import { limits } from './limits.ts';
import { printLiteral, printType } from './print.ts';
import { nearest } from './suggest.ts';
import { type LiteralMember, mlTypeNames, type PlainKind, type Type } from './types.ts';

const plainTypes: Record<string, PlainKind> = {
  str: 'str',
  string: 'str',
  int: 'int',
  integer: 'int',
  float: 'float',
  number: 'float',
  bool: 'bool',
  boolean: 'bool',
  Any: 'any',
  any: 'any',
  None: 'none',
  probability: 'probability',
  tensor: 'tensor',
};

const readers: Record<string, (cursor: Cursor, name: Token, depth: number) => Type> = {
  list: (cursor, name, depth) => readContainer(cursor, name, depth, 'list'),
  List: (cursor, name, depth) => readContainer(cursor, name, depth, 'list'),
  array: (cursor, name, depth) => readContainer(cursor, name, depth, 'list'),
  set: (cursor, name, depth) => readContainer(cursor, name, depth, 'set'),
  Set: (cursor, name, depth) => readContainer(cursor, name, depth, 'set'),
  dict: readDict,
  Dict: readDict,
  object: readDict,
  tuple: readTuple,
  Tuple: readTuple,
  Optional: readOptional,
  optional: readOptional,
  Union: readUnion,
  Literal: readLiteralType,
  enum: readLiteralType,
  embedding: readEmbedding,
};

// What people may have meant, and how it is written here.
const suggestions = new Map([
  ...['str', 'int', 'float', 'bool', 'Any', 'None', 'list', 'dict', 'tuple', 'set', 'Optional', 'Union', 'Literal'].map(
    (name) => [name, name] as const,
  ),
  ...mlTypeNames.map((name) => [name, name] as const),
  ...Object.entries({ string: 'str', integer: 'int', number: 'float', boolean: 'bool', array: 'list', object: 'dict' }),
]);
const foreign = /^(?:frozenset|complex|bytes|bytearray|vector|image|audio|date|datetime|.*\..*)$/;

/** Parses the text of one type, such as `list[str] | None`. Throws SignatureError. */
export function parseType(text: string, options: ParseOptions = {}): Type {
  const cursor = new Cursor(text, options);
  const type = readType(cursor);
  if (cursor.next.kind !== 'end') throw cursor.syntax(`unexpected ${describeToken(cursor.next)} after the type`);
  return type;
}

/** Reads a type at the cursor: members joined by `|`. */
export function readType(cursor: Cursor, depth = 0): Type {
  const start = cursor.next;
  const first = readAtom(cursor, depth);
  if (!cursor.sees('|')) return first;
  const members = [first];
  while (cursor.accept('|')) members.push(readAtom(cursor, depth));
  return unionOf(cursor, start, members);
}

function readAtom(cursor: Cursor, depth: number): Type {
  // An atom of the module form: `question: :string`.
  cursor.accept(':');
  const token = cursor.next;
  if (depth > limits.nestingMax) throw cursor.type(`types nest at most ${limits.nestingMax} levels deep`, token);
  if (token.kind === 'string') throw cursor.syntax('a type is not quoted; choices are written `Literal[…]`');
  if (token.kind !== 'name') throw cursor.syntax(`expected a type, found ${describeToken(token)}`);
  cursor.take();
  const name = token.text.replace(/^typing\./, '');
  if (isOff(cursor, name)) throw cursor.type(`unsupported type \`${name}\``, token);
  if (Object.hasOwn(readers, name)) return readers[name]!(cursor, token, depth);
  if (!Object.hasOwn(plainTypes, name)) throw unknownType(cursor, token);
  if (cursor.sees('[')) throw cursor.type(`\`${name}\` takes no arguments`, cursor.next);
  return { kind: plainTypes[name]! };
}

function isOff(cursor: Cursor, name: string): boolean {
  return (name === 'embedding' || name === 'probability' || name === 'tensor') && !cursor.mlTypes.has(name);
}

function unknownType(cursor: Cursor, token: Token) {
  const shown = describeToken(token);
  if (foreign.test(token.text)) return cursor.type(`unsupported type ${shown}`, token);
  const near = nearest(
    token.text,
    [...suggestions.keys()].filter((name) => !isOff(cursor, name)),
  );
  const hint = near === undefined ? '' : `; did you mean \`${suggestions.get(near)}\`?`;
  return cursor.type(`unknown type ${shown}${hint}`, token);
}

function readArguments(cursor: Cursor, depth: number): Type[] {
  const args: Type[] = [];
  cursor.expect('[', 'after the type');
  while (!cursor.sees(']')) {
    args.push(readType(cursor, depth + 1));
    if (!cursor.accept(',')) break;
  }
  cursor.expect(']', 'after the arguments of the type');
  return args;
}

function readContainer(cursor: Cursor, name: Token, depth: number, kind: 'list' | 'set'): Type {
  if (!cursor.sees('[')) return { kind };
  const args = readArguments(cursor, depth);
  if (args.length !== 1) throw cursor.type(`\`${kind}\` takes one argument, not ${args.length}`, name);
  const item = args[0]!;
  if (kind === 'set' && !isHashable(item)) {
    throw cursor.type(`a set cannot hold \`${printType(item)}\`: its values have no hash in Python`, name);
  }
  return { kind, item };
}

function readDict(cursor: Cursor, name: Token, depth: number): Type {
  if (!cursor.sees('[')) return { kind: 'dict' };
  const [key, value, ...more] = readArguments(cursor, depth);
  if (!key || !value || more.length > 0) throw cursor.type('`dict` takes two arguments, a key and a value', name);
  if (!isKey(key))
    throw cursor.type(`\`${printType(key)}\` cannot be the key of a dict: JSON writes keys as text`, name);
  // `dict` alone means the same and is what people write.
  return key.kind === 'str' && value.kind === 'any' ? { kind: 'dict' } : { kind: 'dict', key, value };
}

function readTuple(cursor: Cursor, name: Token, depth: number): Type {
  if (!cursor.accept('[')) return { kind: 'tuple_variadic' };
  const items: Type[] = [];
  while (!cursor.sees(']')) {
    if (items.length === 1 && cursor.accept('...')) {
      cursor.expect(']', 'after `...`');
      return { kind: 'tuple_variadic', item: items[0]! };
    }
    items.push(readType(cursor, depth + 1));
    if (!cursor.accept(',')) break;
  }
  cursor.expect(']', 'after the arguments of the type');
  if (items.length === 0) throw cursor.type('`tuple[…]` needs at least one argument', name);
  return { kind: 'tuple', items };
}

function readOptional(cursor: Cursor, name: Token, depth: number): Type {
  const args = readArguments(cursor, depth);
  if (args.length !== 1) throw cursor.type(`\`Optional\` takes one argument, not ${args.length}`, name);
  return unionOf(cursor, name, [args[0]!, { kind: 'none' }]);
}

function readUnion(cursor: Cursor, name: Token, depth: number): Type {
  const args = readArguments(cursor, depth);
  if (args.length === 0) throw cursor.type('`Union` needs at least one argument', name);
  return unionOf(cursor, name, args);
}

/** Makes the flat union of some types: repeats fall away, a single member stands alone. */
function unionOf(cursor: Cursor, at: Token, types: readonly Type[]): Type {
  const members = new Map<string, Type>();
  for (const type of types) {
    for (const member of type.kind === 'union' ? type.members : [type]) {
      const text = printType(member);
      if (!members.has(text)) members.set(text, member);
    }
  }
  if (members.size > limits.unionMembersMax) {
    throw cursor.type(`a union has at most ${limits.unionMembersMax} members`, at);
  }
  const distinct = [...members.values()];
  return distinct.length === 1 ? distinct[0]! : { kind: 'union', members: distinct };
}

function readLiteralType(cursor: Cursor, name: Token): Type {
  cursor.expect('[', 'after `Literal`');
  const members = new Map<string, LiteralMember>();
  while (!cursor.sees(']')) {
    const member = readLiteralMember(cursor);
    members.set(printLiteral(member), member);
    if (!cursor.accept(',')) break;
  }
  cursor.expect(']', 'after the members of the `Literal`');
  if (members.size === 0) throw cursor.type('`Literal` needs at least one member', name);
  if (members.size > limits.literalMembersMax) {
    throw cursor.type(`a \`Literal\` has at most ${limits.literalMembersMax} members`, name);
  }
  return { kind: 'literal', members: [...members.values()] };
}

function readLiteralMember(cursor: Cursor): LiteralMember {
  const token = cursor.take();
  if (token.kind === 'string') return token.text;
  if (token.kind === 'name' && token.text === 'True') return true;
  if (token.kind === 'name' && token.text === 'False') return false;
  if (token.kind === 'name' && token.text === 'None') return null;
  if (token.kind === 'number' && /^-?[0-9]+$/.test(token.text)) {
    return new JsonNumber(token.text === '-0' ? '0' : token.text);
  }
  const problem = 'a member of a `Literal` is a quoted text, an integer, `True`, `False` or `None`';
  throw cursor.type(`${problem}, not ${describeToken(token)}`, token);
}

function readEmbedding(cursor: Cursor): Type {
  if (!cursor.accept('[')) return { kind: 'embedding' };
  const token = cursor.take();
  const dimension = Number(token.text);
  if (token.kind !== 'number' || !Number.isInteger(dimension) || dimension < 1 || dimension > limits.dimensionMax) {
    throw cursor.type(`the dimension of an embedding is an integer from 1 to ${limits.dimensionMax}`, token);
  }
  cursor.expect(']', 'after the dimension');
  return { kind: 'embedding', dimension };
}

function isKey(type: Type): boolean {
  if (type.kind === 'union') return type.members.every(isKey);
  return ['str', 'int', 'float', 'bool', 'any', 'literal'].includes(type.kind);
}

function isHashable(type: Type): boolean {
  if (type.kind === 'union') return type.members.every(isHashable);
  if (type.kind === 'tuple') return type.items.every(isHashable);
  if (type.kind === 'tuple_variadic') return type.item === undefined || isHashable(type.item);
  return !['list', 'set', 'dict', 'embedding', 'tensor'].includes(type.kind);
}
