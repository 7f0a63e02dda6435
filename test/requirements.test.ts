import { describe, expect, it } from 'vitest';
import { idsIn, namesIn, readSuites } from './support/test-names.ts';

const range = (prefix: string, from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => `${prefix}-${String(from + at).padStart(2, '0')}`);

/** The requirements that have landed. Each must be carried by the name of a test that fails without it. */
const LANDED = [
  ...range('DOM', 1, 7),
  ...range('SIG', 1, 22),
  ...range('PRG', 1, 26),
  ...range('EXE', 1, 15),
  ...range('MOD', 1, 8),
  ...range('EXT', 1, 5),
  ...range('HDL', 1, 6),
  ...range('ADP', 1, 3),
  ...range('PIP', 1, 8),
  ...range('OPT', 1, 5),
  ...range('PRF', 1, 2),
  ...['POL-01', 'POL-02', 'POL-03', 'POL-04', 'ERR-01', 'ERR-02', 'ERR-03'],
  ...range('MIG', 1, 4),
  ...range('QUA', 1, 6),
  ...range('TEL', 1, 3),
  ...range('TST', 1, 3),
  ...['C-3', 'C-7', 'C-12', 'C-13', 'C-14', 'C-15', 'C-16', 'C-17', 'C-18', 'C-19', 'C-23'],
];

describe('requirements that have landed', () => {
  const named = new Set([...readSuites().values()].flat().flatMap(idsIn));

  it('are each named by a test', () => {
    expect(LANDED.filter((id) => !named.has(id))).toEqual([]);
  });

  it('finds names in every form in which tests are written', () => {
    expect(named.size).toBeGreaterThan(0);
    const source =
      "it('AAA-01 does', f); describe.each([1])('AAA-02 %s', f); test.skipIf(x)(`AAA-03 is`, f); call('AAA-04');";
    expect(namesIn(source).flatMap(idsIn)).toEqual(['AAA-01', 'AAA-02', 'AAA-03']);
  });
});
