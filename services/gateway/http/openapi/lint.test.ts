import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadContract } from '../../contract/public-methods.ts';
import { createOpenApi } from './document.ts';

const room = mkdtempSync(join(tmpdir(), 'signet-lint-'));
afterAll(() => rmSync(room, { recursive: true, force: true }));

// The linter in a process of its own that asks nobody for news.
function lint(document: string): { code: number | null; output: string } {
  const path = join(room, 'openapi.json');
  writeFileSync(path, document);
  const home = dirname(createRequire(import.meta.url).resolve('@redocly/cli/package.json'));
  const args = [join(home, 'bin', 'cli.js'), 'lint', '--config', join(import.meta.dirname, 'redocly.yaml'), path];
  const env = { PATH: process.env.PATH, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', CI: 'true' };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env, timeout: 60_000 });
  return { code: status, output: `${stdout}${stderr}` };
}

describe('the linter of OpenAPI documents', () => {
  const { text } = createOpenApi(loadContract());

  test('finds neither an error nor a warning', () => {
    const { code, output } = lint(text);
    expect(code, output).toBe(0);
    expect(output).not.toMatch(/warning/i);
  });

  test.each([
    ['a variable of a path that is not declared', text.replace('"/v1/programs/{program}"', '"/v1/programs/{nobody}"')],
    ['a reference that leads nowhere', text.replaceAll('"Problem":{', '"Trouble":{')],
    ['a schema that nobody uses', text.replace('"schemas":{', '"schemas":{"Lonely":{"type":"string"},')],
    [
      'two operations of one name',
      text.replace('{"operationId":"GetProgram","summary"', '{"operationId":"GetSignature","summary"'),
    ],
  ])('finds %s', (_what, document) => {
    expect(document).not.toBe(text);
    expect(lint(document).code).toBe(1);
  });
});
