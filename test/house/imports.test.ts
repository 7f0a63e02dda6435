import { builtinModules } from 'node:module';
import { describe, expect, it } from 'vitest';
import { importsOf } from '../support/imports.ts';
import { readPython, readTypeScript, type SourceFile } from '../support/source-files.ts';
import { ROOM_RULES } from './rooms.ts';

const files = readTypeScript();

/** What tests of all rooms may start. */
const TEST_TOOLS = new Set(['services/local/postgres.ts', 'services/local/trace-receiver.ts']);

describe('who may know whom', () => {
  it.each(ROOM_RULES)('$says', (rule) => {
    const broken = files.filter(({ path }) => rule.files(path)).flatMap((file) => breaches(file, rule));
    expect(broken).toEqual([]);
  });

  it('DOM-01 lets services meet in the contract only: none imports another', () => {
    const broken = files.flatMap((file) => {
      const own = /^services\/([a-z]+)\//.exec(file.path)?.[1];
      if (own === undefined) return [];
      return importsOf(file)
        .filter(({ target }) => target.startsWith('services/') && !target.startsWith(`services/${own}/`))
        .filter(({ target }) => !(file.path.endsWith('.test.ts') && TEST_TOOLS.has(target)))
        .map((found) => `${file.path}:${found.line} imports ${found.target}`);
    });
    expect(broken).toEqual([]);
  });

  it('imports files of ours with their ending and built-in modules by `node:`', () => {
    const builtins = new Set(builtinModules);
    const broken = files.flatMap((file) =>
      importsOf(file)
        .filter(({ specifier }) => {
          if (builtins.has(specifier)) return true;
          return (
            (specifier.startsWith('.') || specifier.startsWith('@signet/')) && !/\.(ts|mjs|json|binpb)$/.test(specifier)
          );
        })
        .map((found) => `${file.path}:${found.line} imports ${found.specifier}`),
    );
    expect(broken).toEqual([]);
  });

  it('lets dspy_engine alone import dspy, and keeps gRPC out of it', () => {
    const broken = readPython()
      .filter(({ path }) => path.startsWith('python-sidecar/signet_sidecar/'))
      .flatMap((file) => {
        const isEngine = file.path.includes('/dspy_engine/');
        const barred = isEngine
          ? /^\s*(?:from|import)\s+(?:grpc|signet_sidecar\.gen|\.+gen)\b/
          : /^\s*(?:from|import)\s+dspy\b/;
        return linesThat(file, barred);
      });
    expect(broken).toEqual([]);
  });

  it('would notice: every rule of imports holds for at least one file, or for a room that has not been built', () => {
    const rules = ROOM_RULES.filter((rule) => !rule.says.startsWith('packages/predict'));
    expect(rules.filter((rule) => !files.some(({ path }) => rule.files(path))).map(({ says }) => says)).toEqual([]);
  });
});

function breaches(file: SourceFile, rule: (typeof ROOM_RULES)[number]): string[] {
  return importsOf(file)
    .filter(({ target }) => {
      if (rule.except?.test(target)) return false;
      return (rule.never?.test(target) ?? false) || (rule.only !== undefined && !rule.only.test(target));
    })
    .map((found) => `${file.path}:${found.line} imports ${found.target}`);
}

function linesThat(file: SourceFile, match: RegExp): string[] {
  return file.text
    .split('\n')
    .flatMap((line, at) => (match.test(line) ? [`${file.path}:${at + 1} ${line.trim()}`] : []));
}
