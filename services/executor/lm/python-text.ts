/** True for what Python's `str.strip()` takes away: Unicode White_Space and U+001C to U+001F, but not U+FEFF. */
export function isPythonSpace(unit: number): boolean {
  if (unit <= 0x20) return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d) || (unit >= 0x1c && unit <= 0x1f);
  if (unit < 0x1680) return unit === 0x85 || unit === 0xa0;
  return (
    unit === 0x1680 ||
    (unit >= 0x2000 && unit <= 0x200a) ||
    unit === 0x2028 ||
    unit === 0x2029 ||
    unit === 0x202f ||
    unit === 0x205f ||
    unit === 0x3000
  );
}

/** True for what Python's `str.splitlines()` ends a line at. */
export function isPythonLineEnd(unit: number): boolean {
  if (unit <= 0x1e) return (unit >= 0x0a && unit <= 0x0d) || unit >= 0x1c;
  return unit === 0x85 || unit === 0x2028 || unit === 0x2029;
}

const word = /[\p{L}\p{N}_]/u;

/** True for what `\w` means in Python's `re`; takes one code point. */
export function isPythonWord(point: number): boolean {
  if (point < 0x80) {
    return (
      (point >= 0x61 && point <= 0x7a) ||
      (point >= 0x41 && point <= 0x5a) ||
      (point >= 0x30 && point <= 0x39) ||
      point === 0x5f
    );
  }
  return word.test(String.fromCodePoint(point));
}
