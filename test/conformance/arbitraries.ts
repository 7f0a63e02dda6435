import { JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import type { Field, SignatureSpec, Type } from '@signet/signature/types.ts';
import fc from 'fast-check';

// Pieces out of which texts are made that readers of JSON, of Python and of prompts see differently.
const pieces = [
  ...[
    'a',
    'yes',
    'True',
    'False',
    'None',
    'null',
    'true',
    'nan',
    'Infinity',
    '-',
    '+',
    '.',
    ',',
    ' ',
    '  ',
    '\n',
    '\t',
    '\r\n',
  ],
  ...[
    '0',
    '1',
    '2.0',
    '1e5',
    '1_0',
    '0x1F',
    '007',
    '.5',
    '5.',
    '１',
    '½',
    '9'.repeat(25),
    '1e400',
    '-0',
    '3 apples',
    '50%',
  ],
  ...[
    "'",
    '"',
    '`',
    '“',
    '”',
    "don't",
    '\\',
    '\\n',
    '\\u00e9',
    '\\ud83d',
    '{',
    '}',
    '[',
    ']',
    '(',
    ')',
    ':',
    ';',
    '/',
    '//',
    '#',
  ],
  ...[
    '```json\n',
    '\n```',
    '{"k": 1}',
    '[1, "2"]',
    "['a']",
    '"x"',
    "'x'",
    '[[ ## a ## ]]',
    '<think>',
    '</think>',
    '...',
    'x=1',
  ],
  ...[
    '\u00a0',
    '\u2028',
    '\u0085',
    '\u001c',
    '\ufeff',
    '\u200b',
    'é',
    '東',
    '😀',
    '\u0000',
    '\u007f',
    '\u0301',
    'Ｔｒｕｅ',
    'b',
    'r',
    'f',
  ],
];

/** A text out of such pieces. */
export const oddText: fc.Arbitrary<string> = fc
  .array(fc.constantFrom(...pieces), { maxLength: 6 })
  .map((parts) => parts.join(''));

const literalMember = fc.oneof(
  fc.constantFrom<string | boolean>('yes', "it's", 'a b', '', '1', 'None', true, false),
  fc.constantFrom('0', '1', '2', '-7', '9007199254740993').map((digits) => new JsonNumber(digits)),
);

/** Any type that a plan can tell, and Python classes cannot. */
export const anyType: fc.Arbitrary<Type> = fc.letrec<{ type: Type }>((tie) => ({
  type: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<Type>({ kind: 'str' }, { kind: 'int' }, { kind: 'float' }, { kind: 'bool' }, { kind: 'any' }),
    fc
      .uniqueArray(literalMember, {
        minLength: 1,
        maxLength: 3,
        selector: (member) => (typeof member === 'object' ? member.text : `${typeof member} ${member}`),
      })
      .map((members): Type => ({ kind: 'literal', members })),
    tie('type').map((item): Type => ({ kind: 'list', item })),
    tie('type').map((value): Type => ({ kind: 'dict', key: { kind: 'str' }, value })),
    fc.constantFrom<Type>(
      { kind: 'list' },
      { kind: 'dict', bare: true },
      { kind: 'set', item: { kind: 'int' } },
      { kind: 'set', item: { kind: 'float' } },
    ),
    fc.array(tie('type'), { minLength: 1, maxLength: 2 }).map((items): Type => ({ kind: 'tuple', items })),
    fc
      .uniqueArray(tie('type'), { minLength: 2, maxLength: 3, selector: (type) => JSON.stringify(type) })
      .filter((members) => members.every(({ kind }) => kind !== 'union'))
      .map((members): Type => ({ kind: 'union', members })),
    tie('type')
      .filter(({ kind }) => kind !== 'union')
      .map((member): Type => ({ kind: 'union', members: [member, { kind: 'none' }] })),
  ),
})).type;

/** Any value that an input may have. */
export const anyValue: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    oddText,
    fc.constantFrom<JsonValue>(null, true, false),
    fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }).map((whole) => new JsonNumber(String(whole))),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((double) => new JsonNumber(JSON.stringify(double))),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(oddText, tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
  ),
})).value;

const field = (name: string): fc.Arbitrary<Field> =>
  fc.record({ type: anyType, description: oddText }).map(({ type, description }) => ({
    name,
    type,
    constraints: [],
    ...(description !== '' && !description.includes('\u0000') && { description }),
  }));

/** A signature with two inputs and the outputs `a` and `b`. */
export const anySignature: fc.Arbitrary<SignatureSpec> = fc
  .tuple(field('question'), field('context'), field('a'), field('b'))
  .map(([question, context, a, b]) => ({ inputs: [question, context], outputs: [a, b] }));

/** The text of a field in a reply: JSON, nearly JSON, or anything. */
export const fieldText: fc.Arbitrary<string> = fc.oneof(
  oddText,
  anyValue.map(plainText),
  fc
    .array(
      fc.constantFrom(
        'True',
        'None',
        "'a b'",
        "'c'",
        '"d"',
        '1',
        '-2.5',
        "{'k': [False]}",
        "{'k': 'v', 'w': 'x'}",
        '[]',
      ),
      { maxLength: 4 },
    )
    .map((items) => `[${items.join(', ')}]`),
  anyValue.map((value) => `\`\`\`json\n${plainText(value)}\n\`\`\``),
  anyValue.map((value) => `Here: ${plainText(value)} done.`),
  fc.tuple(anyValue.map(plainText), oddText).map(([text, odd]) => text + odd),
);

/** JSON text of a value, numbers in their own digits. */
export function plainText(value: JsonValue): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (value instanceof JsonNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map(plainText).join(', ')}]`;
  const members = [...(value as ReadonlyMap<string, JsonValue>)];
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}: ${plainText(member)}`).join(', ')}}`;
}
