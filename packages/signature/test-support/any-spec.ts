import fc from 'fast-check';
import { fieldNameProblem } from '../field-name.ts';
import { JsonNumber, type JsonValue } from '../json.ts';
import { utf8Length } from '../lexer.ts';
import { parseType } from '../parse-type.ts';
import { fitDefault } from '../parser.ts';
import { printLiteral, printSpec, printType } from '../print.ts';
import type { Constraint, Field, LiteralMember, SignatureSpec, Type } from '../types.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((made) => !made.includes('\u0000'));

const name = fc
  .oneof(fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9_]{0,10}$/), fc.constantFrom('größe', '質問', 'имя', 'x٣'))
  .filter((made) => fieldNameProblem(made, false) === undefined);

const integer = fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }).map((made) => new JsonNumber(String(made)));

const literalMember: fc.Arbitrary<LiteralMember> = fc.oneof(text, integer, fc.boolean(), fc.constant(null));

const leaf: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    'str',
    'int',
    'float',
    'bool',
    'Any',
    'list',
    'dict',
    'tuple',
    'set',
    'embedding',
    'probability',
    'tensor',
  ),
  fc.integer({ min: 1, max: 4096 }).map((size) => `embedding[${size}]`),
  fc
    .array(literalMember, { minLength: 1, maxLength: 4 })
    .map((members) => `Literal[${members.map(printLiteral).join(', ')}]`),
);

const key = fc.constantFrom('str', 'int', 'float', 'bool', 'Any', "Literal['a', 1]");

const { typeText } = fc.letrec<{ typeText: string }>((tie) => ({
  typeText: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    tie('typeText').map((item) => `list[${item}]`),
    tie('typeText').map((item) => `tuple[${item}, ...]`),
    tie('typeText').map((item) => `Optional[${item}]`),
    fc.constantFrom('set[str]', 'set[int | str]', 'set[tuple[int, str]]'),
    fc.tuple(key, tie('typeText')).map(([first, second]) => `dict[${first}, ${second}]`),
    fc.array(tie('typeText'), { minLength: 1, maxLength: 3 }).map((items) => `tuple[${items.join(', ')}]`),
    fc.array(tie('typeText'), { minLength: 2, maxLength: 3 }).map((items) => items.join(' | ')),
  ),
}));

/** Any type that a field can have. */
export const anyType: fc.Arbitrary<Type> = typeText
  .filter((made) => (made.match(/\[/g)?.length ?? 0) <= 14)
  .map((made) => parseType(made))
  .filter((type) => type.kind !== 'none');

/** Any JSON value, with numbers of many digits. */
export const anyJson: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text,
    fc.oneof(
      integer,
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((made) => new JsonNumber(JSON.stringify(made))),
    ),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(text, tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
  ),
})).value;

function constraintsOf(type: Type): fc.Arbitrary<readonly Constraint[]> {
  const whole = fc.nat({ max: 50 }).map((made) => new JsonNumber(String(made)));
  const some = (make: (value: JsonNumber) => Constraint[]) => fc.oneof(fc.constant<Constraint[]>([]), whole.map(make));
  if (type.kind === 'int') return some((value) => [{ name: 'ge', value }]);
  if (type.kind === 'str' || type.kind === 'list') return some((value) => [{ name: 'max_length', value }]);
  const half: Constraint = { name: 'multiple_of', value: new JsonNumber('0.5') };
  return type.kind === 'float' ? some((value) => [{ name: 'lt', value }, half]) : fc.constant([]);
}

const anyField: fc.Arbitrary<Field> = fc.tuple(name, anyType).chain(([fieldName, type]) =>
  fc
    .record({ constraints: constraintsOf(type), description: text, value: fc.option(anyJson) })
    .map(({ constraints, description, value }) => {
      const bare: Field = { name: fieldName, type, constraints };
      const fitted = fitDefault(bare, value);
      return {
        ...bare,
        ...(description !== '' && { description }),
        ...(typeof fitted === 'object' && printType(type).length < 40 && { default: fitted.value }),
      };
    }),
);

/** Any signature that the spec form can say, in at most 8 KiB. */
export const anySpec: fc.Arbitrary<SignatureSpec> = fc
  .uniqueArray(anyField, { minLength: 2, maxLength: 8, selector: (field) => field.name })
  .chain((fields) =>
    fc
      .integer({ min: 1, max: fields.length - 1 })
      .map((at) => ({ inputs: fields.slice(0, at), outputs: fields.slice(at) })),
  )
  .filter((spec) => utf8Length(printSpec(spec)) <= 8192);
