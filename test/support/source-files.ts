import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

/** The top folder of the repository. */
export const ROOT = join(import.meta.dirname, '..', '..');

const SKIPPED = new Set(['node_modules', '.git', '.signet', 'gen', '__pycache__', 'dist', 'coverage', 'fixtures']);

/** A text file of the repository. */
export type SourceFile = {
  /** From the repository's top, with slashes. */
  readonly path: string;
  readonly text: string;
};

/** Reads all files below some folders whose path fulfils a condition; generated code, dependencies and data are left out. */
export function readSources(folders: readonly string[], wanted: (path: string) => boolean): SourceFile[] {
  return folders
    .flatMap((folder) => walk(join(ROOT, folder)))
    .map((path) => relative(ROOT, path).split(sep).join('/'))
    .filter(wanted)
    .sort()
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

/** The TypeScript of the repository, tests included. */
export function readTypeScript(): SourceFile[] {
  return readSources(['packages', 'services', 'test', 'proto'], (path) => path.endsWith('.ts'));
}

/** The Python of the sidecar, tests included. */
export function readPython(): SourceFile[] {
  return readSources(['python-sidecar', 'services', 'test'], (path) => path.endsWith('.py'));
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return walk(path);
    return entry.isFile() ? [path] : [];
  });
}
