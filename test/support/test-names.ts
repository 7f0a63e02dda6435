import { readPython, readSources } from './source-files.ts';

const ID = /\b(?:[A-Z]{3}-\d{2}|C-\d{1,2})\b/g;
const TEST_NAME = /(?:\b(?:it|test|describe)(?:\.\w+)*|[\])])\(\s*(['"`])((?:\\.|(?!\1)[\s\S])*?)\1/g;
const PYTHON_TEST = /def test_\w+\([\s\S]*?\)[^:]*:\s*(?:r?"""([\s\S]*?)""")?/g;

/** The names of tests and their groups in a TypeScript source. */
export function namesIn(source: string): string[] {
  return [...source.matchAll(TEST_NAME)].map((found) => found[2] ?? '');
}

/** The ids of requirements in a text. */
export function idsIn(text: string): string[] {
  return text.match(ID) ?? [];
}

/** Every suite by its path, with the names of its tests; the suite that asks for them is left out. */
export function readSuites(): Map<string, readonly string[]> {
  const typescript = readSources(['packages', 'services', 'test', 'proto'], (path) => /\.(test|suite)\.ts$/.test(path))
    .filter(({ path }) => path !== 'test/requirements.test.ts')
    .map(({ path, text }) => [path, namesIn(text)] as const);
  const python = readPython().map(
    ({ path, text }) => [path, [...text.matchAll(PYTHON_TEST)].map((found) => found[1] ?? '')] as const,
  );
  return new Map([...typescript, ...python]);
}
