import { posix } from 'node:path';
import type { SourceFile } from './source-files.ts';

/** One import of a file. */
export type Import = {
  /** As it is written. */
  readonly specifier: string;
  /** Path from the repository's top for files of ours (`packages/kit/id.ts`), the specifier itself otherwise. */
  readonly target: string;
  readonly line: number;
};

const FORMS = [
  /^\s*(?:import|export)\s(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm,
  /\bimport\(\s*(?:\/\*.*?\*\/\s*)?['"]([^'"]+)['"]/g,
  /\brequire\(\s*['"]([^'"]+)['"]/g,
];

/** All imports and re-exports of a TypeScript file, dynamic ones included. */
export function importsOf(file: SourceFile): Import[] {
  return FORMS.flatMap((form) =>
    [...file.text.matchAll(form)].map((found) => {
      const specifier = found[1] ?? '';
      const line = file.text.slice(0, found.index).split('\n').length;
      return { specifier, target: resolveTarget(file.path, specifier), line };
    }),
  );
}

function resolveTarget(from: string, specifier: string): string {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(from), specifier);
  const workspace = /^@signet\/([a-z-]+)\/(.+)$/.exec(specifier);
  if (workspace === null) return specifier;
  const [, name = '', rest = ''] = workspace;
  if (name === 'proto') return `proto/${rest}`;
  return ['registry', 'executor', 'gateway', 'local'].includes(name)
    ? `services/${name}/${rest}`
    : `packages/${name}/${rest}`;
}
