/** The text as Postgres can keep it: U+0000 becomes its picture, half a surrogate pair the replacement character. */
export function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\u2400');
}
