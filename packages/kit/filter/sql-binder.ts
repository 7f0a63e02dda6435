/** Gathers the values of a statement and gives each its placeholder, so that no value ever stands in the text. */
export type SqlBinder = {
  readonly values: unknown[];
  /** Adds a value; gives back its placeholder. */
  bind(value: unknown): string;
};

/**
 * Makes a binder. `numbered` writes Postgres' own `$1`, beginning after `taken` values that the statement has already;
 * `question` writes `?`, as MikroORM takes it.
 */
export function createBinder(style: 'numbered' | 'question' = 'numbered', taken = 0): SqlBinder {
  const values: unknown[] = [];
  return {
    values,
    bind(value) {
      values.push(value);
      return style === 'question' ? '?' : `$${taken + values.length}`;
    },
  };
}
