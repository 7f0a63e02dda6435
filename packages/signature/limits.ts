/** The bounds of a signature and of the JSON values that it describes; each is refused with its own message. */
export const limits = {
  /** UTF-8 bytes of a spec. */
  specBytesMax: 8192,
  /** Fields of a signature, inputs and outputs together. */
  fieldsMax: 64,
  /** Characters of a field's name. */
  nameCharactersMax: 128,
  /** Levels of nesting of a type or of a default. */
  nestingMax: 16,
  /** Members of one union. */
  unionMembersMax: 32,
  /** Members of one `Literal`. */
  literalMembersMax: 256,
  /** Numbers in an embedding. */
  dimensionMax: 1_000_000,
  /** Levels of nesting of a JSON value. */
  jsonDepthMax: 32,
  /** Digits of an integer: Python reads no longer ones. */
  integerDigitsMax: 4300,
  /** Violations that one check reports. */
  violationsMax: 100,
} as const;
