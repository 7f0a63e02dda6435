import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { ROOT } from '../support/source-files.ts';

/** A fenced block of a page: its words after the fence, its text, and the line on which it begins. */
export type Block = { readonly info: string; readonly text: string; readonly line: number };

/** A page of Markdown, by its path from the repository's top. */
export type Page = { readonly path: string; readonly text: string };

const SKIPPED = new Set(['node_modules', '.git', '.signet', 'gen', 'dist', 'coverage', '.pytest_cache']);

/** Every page of the repository. */
export function readPages(): Page[] {
  return walk(ROOT).map((path) => ({
    path: relative(ROOT, path).split(sep).join('/'),
    text: readFileSync(path, 'utf8'),
  }));
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) || /venv/.test(entry.name) ? [] : walk(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

/** The fenced blocks of a page in order. */
export function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let open: { info: string; lines: string[]; line: number } | undefined;
  text.split('\n').forEach((line, index) => {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === undefined) open = { info: fence[1]!.trim(), lines: [], line: index + 1 };
    else {
      blocks.push({ info: open.info, text: open.lines.join('\n'), line: open.line });
      open = undefined;
    }
  });
  return blocks;
}

/** Text without its fenced blocks and code spans: where links and anchors are looked for. */
export function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '');
}

/** The anchors that a page's headings have, as code hosts make them. */
export function anchorsOf(text: string): Set<string> {
  const headings = [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#{1,6} (.+)$/gm)];
  return new Set(
    headings.map((one) =>
      one[1]!
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-'),
    ),
  );
}
