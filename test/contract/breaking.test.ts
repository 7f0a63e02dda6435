import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../support/source-files.ts';

const PROTO = join(ROOT, 'proto');
const room = mkdtempSync(join(tmpdir(), 'signet-breaking-'));
afterAll(() => rmSync(room, { recursive: true, force: true }));

function breaking(folder: string): { code: number | null; output: string } {
  const buf = join(ROOT, 'node_modules', '.bin', 'buf');
  const args = ['breaking', '--against', join(PROTO, 'baseline.binpb')];
  const { status, stdout, stderr } = spawnSync(buf, args, { cwd: folder, encoding: 'utf8', timeout: 25_000 });
  return { code: status, output: `${stdout}${stderr}` };
}

/** The protos with one text in one file changed. */
function changed(path: string, from: string | RegExp, to: string): string {
  const folder = mkdtempSync(join(room, 'proto-'));
  cpSync(PROTO, folder, { recursive: true, filter: (one) => !/\/(gen|node_modules)$/.test(one) });
  const text = readFileSync(join(folder, path), 'utf8');
  const next = text.replace(from, to);
  if (next === text) throw new Error(`${path} does not hold ${from}`);
  writeFileSync(join(folder, path), next);
  return folder;
}

describe('what was published', () => {
  it('QUA-06 still holds: the protos break nobody who was built with the baseline', () => {
    const { code, output } = breaking(PROTO);
    expect(output).toBe('');
    expect(code).toBe(0);
  });

  it.each([
    ['a method that is gone', 'program_service.proto', /rpc GetProgram\([\s\S]*?\n {2}\}\n/, '', 'GetProgram'],
    ['a field that was renumbered', 'program.proto', 'string slug = 2;', 'string slug = 200;', 'slug'],
    ['a field that was renamed', 'program.proto', 'string slug = 2;', 'string nickname = 2;', 'slug'],
    ['a field of another type', 'program.proto', 'string slug = 2;', 'int64 slug = 2;', 'slug'],
    ['a value that is gone', 'program.proto', /.*PROGRAM_STATUS_ARCHIVED = 6;\n/, '', 'ProgramStatus'],
    [
      'an answer of another kind',
      'program_service.proto',
      'returns (ProgramVersion)',
      'returns (Program)',
      'GetProgramVersion',
    ],
  ])('is held against %s', (_what, file, from, to, name) => {
    const { code, output } = breaking(changed(`signet/v1/${file}`, from, to));
    expect(code).toBe(100);
    expect(output).toContain(name);
  });

  it('may grow: a new field, value and method break nobody', () => {
    const grown = changed(
      'signet/v1/program.proto',
      'string slug = 2;',
      'string slug = 2;\n  // More.\n  string more = 2000;',
    );
    expect(breaking(grown)).toEqual({ code: 0, output: '' });
  });
});
