import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, normalize } from 'node:path';
import { isReason, reasons } from '@signet/kit/error/reasons.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { demand } from '../support/programs.ts';
import { findSidecarPython, whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { ROOT, readPython, readSources } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { anchorsOf, blocksOf, prose, readPages } from './blocks.ts';
import { differences, runPage } from './run-page.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the commands of the docs are not run: ${missing}`);

const pages = readPages();
const docs = pages.filter(({ path }) => path.startsWith('docs/') || path === 'README.md');
const sources = readSources(['services', 'packages'], (path) => path.endsWith('.ts'))
  .map(({ text }) => text)
  .join('\n');
const python = readPython()
  .map(({ text }) => text)
  .join('\n');
const runnable = docs.filter(({ text }) => blocksOf(text).some(({ info }) => info === 'sh run'));

describe('the pages', () => {
  it.each(pages.map(({ path, text }) => ({ path, text })))(
    '$path leads nowhere that is not there',
    ({ path, text }) => {
      const links = [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map((one) => one[1]!);
      const broken = links.filter((link) => !/^[a-z]+:/.test(link) && !leadsSomewhere(path, text, link));
      expect(broken).toEqual([]);
    },
  );

  it('finds links and anchors that are broken', () => {
    expect(leadsSomewhere('README.md', '# A b', '#a-b')).toBe(true);
    expect(leadsSomewhere('README.md', '# A b', '#a-c')).toBe(false);
    expect(leadsSomewhere('docs/README.md', '', 'nobody.md')).toBe(false);
    expect(leadsSomewhere('docs/README.md', '', 'concepts.md#nothing')).toBe(false);
  });

  it('QUA-01 are reached from the index', () => {
    const index = pages.find(({ path }) => path === 'docs/README.md')?.text ?? '';
    const unlisted = docs
      .map(({ path }) => path)
      .filter((path) => path.startsWith('docs/') && path !== 'docs/README.md')
      .filter((path) => !index.includes(`(${path.slice('docs/'.length)})`));
    expect(unlisted).toEqual([]);
  });

  it('name metrics, reasons and variables that there are', () => {
    const words = (pattern: RegExp) => docs.flatMap(({ text }) => text.match(pattern) ?? []);
    const metrics = new Set(metricNames());
    const named = words(/`(?:http|rpc|signet)_[a-z_]+`/g).map((name) => name.slice(1, -1).replace(/_total$/, ''));
    expect(named.filter((name) => !metrics.has(name))).toEqual([]);
    expect(
      words(/^\| `[A-Z_`, ]+` \|/gm)
        .flatMap((row) => row.match(/[A-Z_]+/g) ?? [])
        .filter(isUnknown),
    ).toEqual([]);
    const told = `${sources}\n${python}\n${pages.map(({ text }) => text).filter((text) => text.startsWith('# python-sidecar'))}`;
    expect(words(/SIGNET_[A-Z_]*[A-Z]/g).filter((name) => !told.includes(name) && !inCompose(name))).toEqual([]);
  });

  it('tell of every variable that a process reads, every reason and every metric', () => {
    const of = (path: string): string => pages.find((page) => page.path === path)?.text ?? '';
    const operations = of('docs/operations.md');
    const read = `${sources}\n${python}`.matchAll(/\(\s*(?:env, )?['"]((?:SIGNET|OTEL|DATABASE)_[A-Z_]+)['"]/g);
    const variables = new Set([...read].map((one) => one[1]!).filter((name) => !/_(?:FILE)?$/.test(name)));
    // What the launcher tells its own processes is nobody else's to set.
    variables.delete('SIGNET_PARENT_PIPE');
    expect(variables.size).toBeGreaterThan(25);
    const shown = (name: string): boolean => new RegExp(`\\b${name}\\b`).test(`${of('README.md')}\n${operations}`);
    expect([...variables].filter((name) => !shown(name))).toEqual([]);
    expect(Object.keys(reasons).filter((reason) => !operations.includes(`\`${reason}\``))).toEqual([]);
    const metrics = new RegExp(`\`(${metricNames().join('|')})(_total)?\``, 'g');
    const told = new Set([...operations.matchAll(metrics)].map((one) => one[1]));
    expect(metricNames().filter((name) => !told.has(name))).toEqual([]);
  });

  it('name scripts that there are, and show every setting of compose', () => {
    const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
    const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
    const named = pages.flatMap((page) =>
      [...page.text.matchAll(/npm run (?:-\S+ )?([a-z][\w:]*)/g)].map((one) => one[1]!),
    );
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
    const settings = (words: RegExp, path: string) =>
      [...new Set([...text(path).matchAll(words)].map((one) => one[1]!))].sort();
    expect(settings(/^#([A-Z_]+)=/gm, '.env.example')).toEqual(settings(/\$\{([A-Z_]+)/g, 'docker-compose.yml'));
  });

  it('name no place of a machine, and nobody who is not there', () => {
    const told = docs.flatMap(({ path, text }) =>
      [...text.matchAll(/\/(?:root|work|home)\/|\bTODO\b|registry\.npmjs|pypi\.org/g)].map(
        (one) => `${path}: ${one[0]}`,
      ),
    );
    expect(told).toEqual([]);
  });
});

describe.skipIf(missing !== undefined)('the commands of the docs', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  const folder = mkdtempSync(join(tmpdir(), 'signet-docs-python-'));
  const names = allowed().map((entry) => entry.slice(0, entry.indexOf('=')));
  beforeAll(async () => {
    lm = await startScriptedLm({ record: false });
    stack = await startStack({
      engines: 'python',
      lm: lm.url,
      env: { ...pythonOf(folder), SIGNET_LM_ALLOW_PRIVATE: 'true', SIGNET_TOOLS_ALLOW_PRIVATE: 'true' },
    });
    // Each name of the allow-list is described in a process of its own, one after the other.
    await eventually(async () => {
      const told = await query(stack.databaseUrl, 'SELECT FROM registry.signature_modules WHERE name = ANY($1)', [
        names,
      ]);
      expect(told).toHaveLength(names.length);
    }, 60_000);
  }, 90_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(runnable.map(({ path, text }) => ({ path, text })))(
    'QUA-01 $path does what it says',
    { timeout: 90_000 },
    async ({ text }) => {
      // Pages that are pasted as they are name the address that `npm start` has.
      const page = await runPage(text.replaceAll('http://127.0.0.1:8080', '$SIGNET_URL'), environment());
      expect(page.code, page.log).toBe(0);
      for (const { block, output, expected } of page.blocks) {
        if (expected === undefined) expect(output).not.toContain('https://signet.dev/errors/');
        if (expected === undefined) continue;
        expect({ line: block.line, output, not: differences(expected, output) }).toEqual({
          line: block.line,
          output,
          not: [],
        });
      }
    },
  );

  it('fail the test where they fail, or print something else', async () => {
    expect((await runPage('```sh run\nfalse\n```', environment())).code).toBe(1);
    const page = await runPage('```sh run\necho \'{"a": "b"}\'\n```\n```json expect\n{"a": "c"}\n```', environment());
    expect(page.blocks.flatMap(({ expected, output }) => (expected ? differences(expected, output) : []))).toEqual([
      '$.a: "b"',
    ]);
  });

  // Each page finds the slugs free, as its reader does.
  afterEach(async () => {
    const { programs = [] } = demand(await stack.http.get('/v1/programs?pageSize=1000'), 200);
    for (const { id } of programs as { id: string }[]) {
      demand(await stack.http.delete(`/v1/programs/${id}?force=true`), 204);
    }
  });

  function environment(): Record<string, string> {
    return {
      // `python3` is the one that has DSPy, `node` the one that runs these tests.
      PATH: [dirname(findSidecarPython() ?? ''), dirname(process.execPath), process.env.PATH].join(delimiter),
      HOME: process.env.HOME ?? '/',
      SIGNET_URL: `http://${stack.httpAddress}`,
      SIGNET_GRPC: stack.grpcAddress,
      SIGNET_ADDRESS: stack.grpcAddress,
      SIGNET_KEY: stack.adminKey,
      DATABASE_URL: stack.databaseUrl,
      LM_URL: lm.url,
    };
  }
});

/** The metrics that processes show, without the ending `_total`. */
function metricNames(): string[] {
  const made = sources.matchAll(
    /create(?:Histogram|Counter|UpDownCounter|Observable\w+|SummedCounter)\(\s*(?:(?:deps\.)?meter,\s*)?'([^']+)'/g,
  );
  const ofPool = sources.matchAll(/ gauge\('(\w+)'/g);
  const ofSidecar = python.matchAll(/# TYPE (signet_\w+)/g);
  const names = [...[...made].map((one) => one[1]!), ...[...ofPool].map((one) => `signet.python.pool.${one[1]}`)];
  const told = [...names.map((name) => name.replaceAll('.', '_')), ...[...ofSidecar].map((one) => one[1]!)];
  return [
    ...new Set(told.filter((name) => /^(http|rpc|signet)_/.test(name)).map((name) => name.replace(/_total$/, ''))),
  ];
}

function isUnknown(word: string): boolean {
  return !isReason(word) && !word.startsWith('SIGNET_') && !word.startsWith('DATABASE_') && !word.startsWith('OTEL_');
}

function inCompose(name: string): boolean {
  const path = join(ROOT, 'docker-compose.yml');
  return ['SIGNET_URL', 'SIGNET_KEY'].includes(name) || (existsSync(path) && readFileSync(path, 'utf8').includes(name));
}

/** Writes the Python that pages show into a folder; gives the environment that allows what they allow. */
function pythonOf(folder: string): Record<string, string> {
  const files = docs.flatMap(({ text }) => blocksOf(text)).filter(({ info }) => info.startsWith('python file '));
  for (const { info, text } of files) writeFileSync(join(folder, info.slice('python file '.length)), text);
  return { SIGNET_PYTHON_PATH: folder, SIGNET_PYTHON_MODULES: allowed().join(',') };
}

/** The allow-lists of all pages as one. */
function allowed(): string[] {
  const lists = docs.flatMap(({ text }) =>
    [...text.matchAll(/SIGNET_PYTHON_MODULES=(\S+:\S+)/g)].map((one) => one[1]!),
  );
  return lists.flatMap((list) => list.split(','));
}

function leadsSomewhere(from: string, text: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? from : normalize(join(dirname(from), path));
  if (target.startsWith('..') || !existsSync(join(ROOT, target))) return false;
  if (anchor === undefined) return true;
  if (statSync(join(ROOT, target)).isDirectory()) return false;
  const there = path === '' ? text : (pages.find((page) => page.path === target)?.text ?? '');
  return anchorsOf(there).has(anchor);
}
