import { type RegisteredType, registeredFieldTypes } from '@signet/signature/field-type.ts';
import { liftType } from '@signet/signature/lift.ts';
import { lowerType } from '@signet/signature/lower.ts';
import { parseType } from '@signet/signature/parse-type.ts';
import { printType } from '@signet/signature/print.ts';

/** A type that fields may have. */
export type FieldTypeRow = {
  readonly name: string;
  readonly description: string;
  readonly mlType: boolean;
  readonly example: string;
  readonly dspyType: string;
  /** True for a type that the operator registered. */
  readonly registered: boolean;
  /** The type on which a registered one is built; empty for others. */
  readonly baseType: string;
};

const types: readonly [name: string, description: string, example: string][] = [
  ['str', 'Text; the type of a field without one.', 'question: str'],
  ['int', 'A whole number of any size.', 'count: int'],
  ['float', 'A number; an integer is taken too.', 'confidence: float'],
  ['bool', 'true or false.', 'urgent: bool'],
  ['list', 'A list, of anything or of one type.', 'context: list[str]'],
  ['dict', 'An object, of anything or of one type of values.', 'scores: dict[str, float]'],
  ['tuple', 'A list of fixed or open length.', 'span: tuple[int, int]'],
  ['set', 'A list without repeats.', 'tags: set[str]'],
  ['Any', 'Any JSON value.', 'payload: Any'],
  ['Optional', 'A value or null; the field may be left out.', 'hint: Optional[str]'],
  ['Union', 'A value of one of several types.', 'id: int | str'],
  ['Literal', 'One of the values that are written out.', "mood: Literal['good', 'bad']"],
];

const mlTypes: typeof types = [
  ['embedding', 'A list of numbers, of a fixed length if one is given.', 'vector: embedding[3]'],
  ['probability', 'A number from 0 to 1.', 'p: probability'],
  ['tensor', 'An object of shape, dtype and data.', 'image: tensor'],
];

/** The types that fields may have: the built-in ones first, then those that the operator registered. */
export function listFieldTypes(): FieldTypeRow[] {
  const builtIn = [...types.map((row) => describe(row, false)), ...mlTypes.map((row) => describe(row, true))];
  return [...builtIn, ...registeredFieldTypes().map(describeRegistered)];
}

function describe([name, description, example]: (typeof types)[number], mlType: boolean): FieldTypeRow {
  const written = example.slice(example.indexOf(':') + 1).trim();
  const dspyType = printType(liftType(lowerType(parseType(written))));
  return { name, description, mlType, example, dspyType, registered: false, baseType: '' };
}

function describeRegistered({ name, base, baseText, description }: RegisteredType): FieldTypeRow {
  return {
    ...{ name, description },
    mlType: false,
    example: `value: ${name}`,
    dspyType: printType(liftType(lowerType(base))),
    registered: true,
    baseType: baseText,
  };
}
