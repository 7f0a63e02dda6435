import { isSpace, splitLines, strip } from '../python/text.ts';

// Python's \w: letters, digits and the underscore. It knows no marks, and its digits are those of every script.
const HEADER = /^\[\[ ## ([\p{L}\p{N}_]+) ## \]\]/u;

/**
 * The wanted sections of a reply of the Chat adapter, in the reply's order: the first of each name, its text stripped. A header stands
 * at the beginning of a line, white space before it aside; what follows it on its line belongs to its section.
 */
export function chatSections(reply: string, wanted: ReadonlySet<string>): ReadonlyMap<string, string> {
  const sections = new Map<string, string>();
  let name: string | undefined;
  let lines: string[] = [];
  const close = (): void => {
    if (name !== undefined) sections.set(name, strip(lines.join('\n')));
  };
  for (const line of splitLines(reply)) {
    const found = mayBeHeader(line) ? HEADER.exec(strip(line)) : null;
    if (found === null) {
      if (name !== undefined) lines.push(line);
      continue;
    }
    close();
    const header = found[1] ?? '';
    name = wanted.has(header) && !sections.has(header) ? header : undefined;
    // DSPy cuts the unstripped line at the stripped one's offset: before an indented header's end stands some of it.
    const rest = strip(line.slice(found[0].length));
    lines = rest === '' ? [] : [rest];
  }
  close();
  return sections;
}

function mayBeHeader(line: string): boolean {
  let at = 0;
  while (at < line.length && isSpace(line.charCodeAt(at))) at++;
  return line.startsWith('[[ ## ', at);
}
