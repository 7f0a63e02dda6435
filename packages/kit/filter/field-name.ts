/** The key of `fields` that a caller's spelling names, snake_case as in the contract or lowerCamelCase as in JSON; undefined if there is none. */
export function fieldKey(written: string, fields: Readonly<Record<string, unknown>>): string | undefined {
  const snake = written.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return [written, snake].find((name) => Object.hasOwn(fields, name));
}
