/** What a caller reads whose module name is refused. */
export const moduleNameMessage = 'Module must be a valid module name';

const pattern = /^[A-Z][a-zA-Z0-9_.]*$/;

/** True if the text can name a signature module: `^[A-Z][a-zA-Z0-9_.]*$`, at most 255 characters. */
export function isModuleName(text: string): boolean {
  return text.length <= 255 && pattern.test(text);
}

/** Names the module of a signature that was born of a spec: `Spec.S` and 12 digits of its canonical text's hash, given by `sha256Hex`. */
export function specModuleName(canonicalSpec: string, sha256Hex: (text: string) => string): string {
  return `Spec.S${sha256Hex(canonicalSpec).slice(0, 12)}`;
}
