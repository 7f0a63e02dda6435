import { describe, expect, it } from 'vitest';
import { readPython, readSources } from './support/source-files.ts';

const range = (prefix: string, from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => `${prefix}-${String(from + at).padStart(2, '0')}`);

/** The requirements that have landed. Each must be carried by the name of a test that fails without it. */
const LANDED = [
  ...range('DOM', 1, 7),
  ...range('SIG', 1, 11),
  ...['SIG-13', 'SIG-15', 'SIG-16', 'SIG-17', 'SIG-19', 'SIG-20', 'SIG-22'],
  ...range('PRG', 1, 17),
  ...['PRG-24', 'PRG-25'],
  ...range('EXE', 1, 9),
  ...range('EXE', 12, 15),
  ...range('ADP', 1, 3),
  ...['POL-01', 'POL-03', 'POL-04', 'ERR-01', 'ERR-03'],
  ...range('MIG', 1, 3),
  'QUA-05',
  ...range('TST', 1, 3),
];

const ID = /\b[A-Z]{3}-\d{2}\b/g;
const TEST_NAME = /(?:\b(?:it|test|describe)(?:\.\w+)*|[\])])\(\s*(['"`])((?:\\.|(?!\1)[\s\S])*?)\1/g;
const PYTHON_TEST = /def test_\w+\([\s\S]*?\)[^:]*:\s*(?:r?"""([\s\S]*?)""")?/g;

describe('requirements that have landed', () => {
  const named = new Set([...typescriptNames(), ...pythonNames()].flatMap((name) => name.match(ID) ?? []));

  it('are each named by a test', () => {
    expect(LANDED.filter((id) => !named.has(id))).toEqual([]);
  });

  it('finds names in every form in which tests are written', () => {
    expect(named.size).toBeGreaterThan(0);
    const source =
      "it('AAA-01 does', f); describe.each([1])('AAA-02 %s', f); test.skipIf(x)(`AAA-03 is`, f); call('AAA-04');";
    expect(namesIn(source).flatMap((name) => name.match(ID) ?? [])).toEqual(['AAA-01', 'AAA-02', 'AAA-03']);
  });
});

function typescriptNames(): string[] {
  return readSources(['packages', 'services', 'test', 'proto'], (path) => /\.(test|suite)\.ts$/.test(path))
    .filter(({ path }) => path !== 'test/requirements.test.ts')
    .flatMap(({ text }) => namesIn(text));
}

function namesIn(source: string): string[] {
  return [...source.matchAll(TEST_NAME)].map((found) => found[2] ?? '');
}

function pythonNames(): string[] {
  return readPython().flatMap(({ text }) => [...text.matchAll(PYTHON_TEST)].map((found) => found[1] ?? ''));
}
