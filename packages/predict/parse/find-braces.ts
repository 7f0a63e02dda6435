/** The first text in balanced braces, as the JSON adapter's expression finds it: quotes do not matter to it. Linear. */
export function findBraces(text: string): string | undefined {
  const open: number[] = [];
  let first = -1;
  let last = -1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 123) open.push(at);
    if (code !== 125) continue;
    const start = open.pop();
    if (start === undefined) continue;
    if (first < 0 || start < first) {
      first = start;
      last = at;
    }
    // Nothing before it is open any more, so nothing that begins earlier can close.
    if (open.length === 0) break;
  }
  return first < 0 ? undefined : text.slice(first, last + 1);
}
