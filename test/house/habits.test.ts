import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT, readPython, readSources, readTypeScript, type SourceFile } from '../support/source-files.ts';

const typescript = readTypeScript();
const python = readPython();
const here = (path: string): boolean => path.startsWith('test/house/');
const everything = [
  ...readSources(['packages', 'services', 'test', 'proto', 'python-sidecar'], (path) =>
    /\.(ts|mjs|py|md|proto|json|toml|yaml|yml|lock|sh)$/.test(path),
  ),
  ...['package.json', 'README.md', 'CHANGELOG.md', 'DECISIONS.md', 'vitest.config.ts', '.ci/run'].flatMap(readIfThere),
].filter(({ path }) => !here(path));

describe('habits of the house', () => {
  it.each([
    // What a declaration says of its type is biome's to see: a variable may be called so.
    ['casts to any', /\bas any\b|<any>|\bany\[\]/],
    ['suppressed type errors', /@ts-(?:ignore|nocheck|expect-error)/],
    ['default exports', /^export default /m],
    ['enums, namespaces and decorators', /^(?:export )?(?:const )?enum \w|^(?:export )?namespace \w|^\s*@[A-Z]\w+\(/m],
    ['tests that run alone', /\b(?:it|test|describe)\.only\(/],
  ])('has no %s', (_what, match) => {
    expect(
      found(
        typescript.filter(({ path }) => !here(path)),
        match,
        true,
      ),
    ).toEqual([]);
  });

  it('has no notes to self', () => {
    const code = [...typescript, ...python].filter(({ path }) => !here(path));
    expect(found(code, /\b(?:TODO|FIXME|XXX|HACK)\b/)).toEqual([]);
  });

  it('names files in kebab-case, Python and protos in snake_case', () => {
    const ts = typescript.filter(
      ({ path }) =>
        !/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|suite|bench|fake|entity|postgres|grpc|config|d))*\.ts$/.test(
          basename(path),
        ),
    );
    const snake = [...python, ...readSources(['proto'], (path) => path.endsWith('.proto'))].filter(
      ({ path }) => !/^[a-z0-9_]+\.(?:py|proto)$/.test(basename(path)),
    );
    // MikroORM orders migrations by their names, which carry a time.
    const wrong = [...ts, ...snake].filter(({ path }) => !path.includes('/db/migrations/'));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  it('knows nothing of the machine that it was written on', () => {
    // The one place beside this repository that may be named is where CI looks for a container engine.
    const machine =
      /(?<![\w.-])\/(?:root|work|home\/\w+|Users\/\w+)\/|\/tmp\/[\w-]|(?<!SIGNET_TEST_RIG:-)\.\.\/shared\b/;
    expect(
      found(
        everything.filter(({ path }) => !path.endsWith('.lock')),
        machine,
      ),
    ).toEqual([]);
  });

  it('locks dependencies by version and integrity and by no download address', () => {
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { version?: string; integrity?: string; resolved?: string; link?: boolean }>;
    };
    const entries = Object.entries(lock.packages).filter(
      ([name, entry]) => name.includes('node_modules/') && entry.link !== true,
    );
    expect(entries.length).toBeGreaterThan(50);
    expect(
      entries.filter(([, entry]) => entry.version === undefined || entry.integrity === undefined).map(([name]) => name),
    ).toEqual([]);
    expect(entries.filter(([, entry]) => entry.resolved !== undefined).map(([name]) => name)).toEqual([]);
    const pip = everything.filter(({ path }) => path.endsWith('.lock'));
    expect(found(pip, /https?:\/\/|--(?:extra-)?index-url/)).toEqual([]);
  });

  it('keeps the environment at the edge', () => {
    const inside = typescript.filter(
      ({ path }) =>
        /^(?:services|packages)\//.test(path) &&
        !/\.test\.ts$|\/test-support\/|\/main\.ts$|\/migrate\.ts$|^services\/local\/|^packages\/kit\/process\//.test(
          path,
        ),
    );
    expect(found(inside, /\bprocess\.(?:env|exit)\b/)).toEqual([]);
  });

  it('opens with what can be said aloud: long files are named, and nothing more', () => {
    const long = typescript
      .filter(({ text }) => text.split('\n').length > 260)
      .map(({ path, text }) => `${path} (${text.split('\n').length} lines)`);
    if (long.length > 0) console.warn(`longer than 250 lines:\n  ${long.join('\n  ')}`);
    expect(typescript.length).toBeGreaterThan(0);
  });

  // A shell that stays in between dies of Ctrl-C, and npm reports that death (130) in place of the launcher's clean end (0).
  it('starts each script in the place of its shell', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    expect(Object.keys(scripts)).toContain('start');
    expect(Object.values(scripts).filter((script) => !script.startsWith('exec '))).toEqual([]);
  });
});

function readIfThere(path: string): SourceFile[] {
  try {
    return [{ path, text: readFileSync(join(ROOT, path), 'utf8') }];
  } catch {
    return [];
  }
}

function found(files: readonly SourceFile[], match: RegExp, codeOnly = false): string[] {
  return files.flatMap((file) =>
    file.text.split('\n').flatMap((line, at) => {
      const seen = codeOnly ? withoutTexts(line) : line;
      return match.test(seen) ? [`${file.path}:${at + 1} ${line.trim().slice(0, 120)}`] : [];
    }),
  );
}

// A comment or a string may well speak of `any`.
function withoutTexts(line: string): string {
  return line.replace(/(['"`])(?:\\.|(?!\1).)*\1/g, '""').replace(/\/\/.*$|^\s*\*.*$|\/\*\*?.*$/, '');
}
