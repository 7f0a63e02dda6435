type Schema = Record<string, unknown>;

const depthMax = 32;
const types: Readonly<Record<string, string>> = {
  string: 'STRING',
  integer: 'INTEGER',
  number: 'NUMBER',
  boolean: 'BOOLEAN',
  array: 'ARRAY',
  object: 'OBJECT',
  null: 'NULL',
};
const copied = [
  'description',
  'format',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'minLength',
  'maxLength',
  'pattern',
];
// Words that change nothing about what fits, or that its schemas imply.
const ignored = new Set(['title', 'default', 'examples', 'additionalProperties', '$schema', 'propertyOrdering']);
const known = new Set([...copied, 'type', 'enum', 'anyOf', 'properties', 'required', 'items', 'nullable', ...ignored]);

/** Writes a JSON Schema in the subset of OpenAPI that Gemini's `responseSchema` knows; undefined if it says more than that subset can. */
export function geminiSchema(schema: object, depth = 0): Schema | undefined {
  const given = schema as Schema;
  if (depth > depthMax || Object.keys(given).some((word) => !known.has(word))) return undefined;
  // A dict: keys that nobody can name in advance.
  if (typeof given.additionalProperties === 'object' || given.additionalProperties === true) return undefined;
  const made: Schema = {};
  for (const word of copied) if (given[word] !== undefined) made[word] = given[word];
  if (given.nullable === true) made.nullable = true;
  if (given.anyOf !== undefined) {
    const choices = listOf(given.anyOf, depth);
    return choices === undefined ? undefined : { ...made, anyOf: choices };
  }
  return withType(made, given, depth);
}

function withType(made: Schema, given: Schema, depth: number): Schema | undefined {
  if (Array.isArray(given.enum)) {
    // Its lists of choices hold texts alone.
    if (given.enum.some((choice) => typeof choice !== 'string')) return undefined;
    return { ...made, type: 'STRING', format: 'enum', enum: given.enum };
  }
  const type = typeof given.type === 'string' ? types[given.type] : undefined;
  if (type === undefined) return undefined;
  made.type = type;
  if (type === 'ARRAY') {
    const items =
      typeof given.items === 'object' && given.items !== null ? geminiSchema(given.items, depth + 1) : undefined;
    return items === undefined ? undefined : { ...made, items };
  }
  return type === 'OBJECT' ? withProperties(made, given, depth) : made;
}

function withProperties(made: Schema, given: Schema, depth: number): Schema | undefined {
  const names = Object.keys((given.properties as object | undefined) ?? {});
  if (names.length === 0) return undefined;
  const properties: Schema = {};
  for (const name of names) {
    const property = (given.properties as Schema)[name];
    const own = typeof property === 'object' && property !== null ? geminiSchema(property, depth + 1) : undefined;
    if (own === undefined) return undefined;
    properties[name] = own;
  }
  // Else it takes them in the order of the alphabet.
  const ordered = { ...made, properties, propertyOrdering: names };
  return Array.isArray(given.required) ? { ...ordered, required: given.required } : ordered;
}

function listOf(choices: unknown, depth: number): Schema[] | undefined {
  if (!Array.isArray(choices) || choices.length === 0) return undefined;
  const made = choices.map((choice: unknown) =>
    typeof choice === 'object' && choice !== null ? geminiSchema(choice, depth + 1) : undefined,
  );
  return made.every((choice) => choice !== undefined) ? made : undefined;
}
