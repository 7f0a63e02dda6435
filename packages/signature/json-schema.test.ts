import { describe, expect, it } from 'vitest';
import { toJsonSchema } from './json-schema.ts';
import { parseSpec } from './parser.ts';
import { writeJson } from './write-json.ts';

function schemaOf(field: string): unknown {
  const schema = JSON.parse(writeJson(toJsonSchema(parseSpec(`${field} -> out`).inputs)));
  return schema.properties.a;
}

describe('the JSON Schema of a side', () => {
  it('SIG-22 is an object that names what is required and refuses the rest', () => {
    const { inputs } = parseSpec("q: str 'what', k: int = 5, o: str | None -> out");
    expect(JSON.parse(writeJson(toJsonSchema(inputs)))).toEqual({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: {
        q: { type: 'string', description: 'what' },
        k: { type: 'integer', default: 5 },
        o: { type: ['string', 'null'] },
      },
      required: ['q'],
      additionalProperties: false,
    });
  });

  it('SIG-19 lets other properties pass without strict mode', () => {
    const schema = toJsonSchema(parseSpec('a -> b').inputs, { strictMode: false });
    expect(schema.has('additionalProperties')).toBe(false);
  });

  it.each([
    ['a: float', { type: 'number' }],
    ['a: bool', { type: 'boolean' }],
    ['a: Any', {}],
    ['a: list[int]', { type: 'array', items: { type: 'integer' } }],
    ['a: list(min_length=1)', { type: 'array', minItems: 1 }],
    ['a: set[str]', { type: 'array', items: { type: 'string' }, uniqueItems: true }],
    [
      'a: tuple[int, str]',
      { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'string' }], items: false, minItems: 2, maxItems: 2 },
    ],
    ['a: tuple[int, ...]', { type: 'array', items: { type: 'integer' } }],
    ['a: dict(max_length=2)', { type: 'object', maxProperties: 2 }],
    ['a: dict[str, int]', { type: 'object', additionalProperties: { type: 'integer' } }],
    ["a: Literal['x', 2, None]", { enum: ['x', 2, null] }],
    ['a: int | str', { anyOf: [{ type: 'integer' }, { type: 'string' }] }],
    ["a: Literal['x'] | None", { anyOf: [{ enum: ['x'] }, { type: 'null' }] }],
    ['a: int | None (gt=1, multiple_of=2)', { type: ['integer', 'null'], exclusiveMinimum: 1, multipleOf: 2 }],
    ['a: str(min_length=1, max_length=9)', { type: 'string', minLength: 1, maxLength: 9 }],
    ['a: probability(lt=0.5)', { type: 'number', minimum: 0, maximum: 1, exclusiveMaximum: 0.5 }],
    ['a: embedding[2]', { type: 'array', items: { type: 'number' }, minItems: 2, maxItems: 2 }],
  ])('SIG-17 describes %s', (field, schema) => {
    expect(schemaOf(field)).toEqual(schema);
  });

  it('SIG-20 describes a tensor by its parts', () => {
    expect(schemaOf('a: tensor')).toMatchObject({
      type: 'object',
      required: ['shape', 'dtype'],
      additionalProperties: false,
    });
  });

  it('keeps the digits of bounds and defaults', () => {
    const text = writeJson(
      toJsonSchema(parseSpec('a: float(ge=0.1000000000000000055) = 9007199254740993 -> b').inputs),
    );
    expect(text).toContain('"minimum":0.1000000000000000055,"default":9007199254740993.0');
  });
});
