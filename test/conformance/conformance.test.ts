import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoPython } from '../support/python.ts';
import { readOptions, UsageError } from './options.ts';
import { runConformance } from './run-conformance.ts';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'dspy');
const SAMPLE = join(FIXTURES, 'sample.jsonl');
const missing = whyNoPython();
if (missing !== undefined) console.warn(`the conformance cases are left out: ${missing}`);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'signet-conformance-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(...args: string[]): Promise<{ code: number; lines: string[]; last: string }> {
  const lines: string[] = [];
  const code = await runConformance(readOptions(args), (line) => lines.push(line));
  return { code, lines, last: lines.at(-1) ?? '' };
}

/** Every nth case of the generated file, behind its header. */
function excerpt(nth: number): string {
  const lines = gunzipSync(readFileSync(join(FIXTURES, 'generated.jsonl.gz')))
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
  const path = join(folder, 'excerpt.jsonl');
  writeFileSync(path, `${lines.filter((_, index) => index % nth === 0).join('\n')}\n`);
  return path;
}

type Reported = { id: string; via: string; got: unknown; reason?: string };

describe.skipIf(missing !== undefined)('DSPy’s cases', () => {
  it('are passed natively, and few replies are handed over', async () => {
    const report = join(folder, 'report.jsonl');
    const { code, last } = await run(SAMPLE, excerpt(4), '--report', report);
    expect([code, last]).toEqual([0, expect.stringMatching(/^\d+ passed, 0 failed, \d+ routed, \d+ skipped$/)]);
    const reported = readFileSync(report, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Reported);
    expect(reported.length).toBe(40 + 375);
    const routed = reported.filter(({ via }) => via === 'routed');
    expect(routed.length / reported.length).toBeLessThan(0.25);
    expect(routed.every(({ id, reason }) => id.startsWith('P') && reason !== undefined)).toBe(true);
  });

  it('are passed by the live Python engine', async () => {
    const { code, last } = await run(SAMPLE, excerpt(12), '--via', 'sidecar');
    expect([code, last]).toEqual([0, expect.stringMatching(/ passed, 0 failed, 0 routed, /)]);
  });

  it('made by hand are passed as far as a plan can tell them; the rest has its reason', async () => {
    const report = join(folder, 'corpus.jsonl');
    const { code, last } = await run(join(FIXTURES, 'corpus.json'), '--report', report);
    expect([code, last]).toEqual([0, expect.stringMatching(/^248 passed, 0 failed, \d+ routed, 59 skipped$/)]);
    const reported = readFileSync(report, 'utf8').split('\n');
    const several = reported.find((line) => line.startsWith('{"id":"W12"')) ?? '{}';
    expect(JSON.parse(several)).toMatchObject({ via: 'routed', reason: expect.stringContaining('several') });
    const skipped = reported
      .filter((line) => line.includes('"via":"skip"'))
      .map((line) => JSON.parse(line) as Reported);
    const why = /^(?:the type .+ is a class|the value .+ exists in Python alone|only XML is expected)$/;
    expect(skipped.filter(({ reason = '' }) => !why.test(reason))).toEqual([]);
  });

  it('made by hand are passed by the live Python engine, flows on a worker’s session', async () => {
    const report = join(folder, 'corpus-sidecar.jsonl');
    const { code, last } = await run(join(FIXTURES, 'corpus.json'), '--via', 'sidecar', '--report', report);
    expect([code, last]).toEqual([0, '248 passed, 0 failed, 0 routed, 59 skipped']);
    const flows = readFileSync(report, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{"id":"W') && line.includes('"via":"sidecar"'));
    expect(flows.length).toBe(14);
  });

  it('fail where an expectation is bent, case by case, and the rest goes on', async () => {
    const bent = join(folder, 'bent.jsonl');
    const lines = readFileSync(SAMPLE, 'utf8').trim().split('\n');
    const cases = lines
      .slice(1)
      .map((line) => JSON.parse(line) as { id: string; kind: string; reply?: string; signature?: unknown });
    const broken = { ...cases[0], id: 'G99999', signature: { fields: 'none' } };
    const unknown = { id: 'X1', kind: 'dream' };
    writeFileSync(
      bent,
      [
        lines[0],
        JSON.stringify(broken),
        JSON.stringify(unknown),
        ...lines.slice(1).map((line) => line.replace('"content":"Your input fields', '"content":"My input fields')),
      ].join('\n'),
    );
    const { code, lines: printed, last } = await run(bent);
    expect(code).toBe(1);
    expect(printed.some((line) => line.startsWith('FAIL G99999 crash at 0: want '))).toBe(true);
    expect(printed.some((line) => /^FAIL G\d+ chat message 0 at 0: want "My .* got "Your /.test(line))).toBe(true);
    expect(last).toMatch(/^\d+ passed, [1-9]\d* failed, \d+ routed, 1 skipped$/);
  });

  it('of a damaged file fail where it is damaged, and the rest goes on', async () => {
    const damaged = join(folder, 'damaged.jsonl');
    const lines = readFileSync(SAMPLE, 'utf8').trim().split('\n');
    writeFileSync(damaged, [...lines.slice(0, 3), '{"id": "G1", oops', '{', '7', '', ...lines.slice(3, 6)].join('\n'));
    const half = join(folder, 'half.jsonl.gz');
    const packed = gzipSync(lines.join('\n'));
    writeFileSync(half, packed.subarray(0, packed.length >> 1));
    const { code, lines: printed, last } = await run(damaged, half);
    expect(code).toBe(1);
    for (const at of ['4', '5', '6'])
      expect(printed.some((line) => line.startsWith(`FAIL line ${at} crash`))).toBe(true);
    expect(printed.filter((line) => line.includes('the file breaks off'))).toHaveLength(1);
    expect(last).toMatch(/^\d+ passed, 4 failed, \d+ routed, \d+ skipped$/);
  });

  it('are not taken from a file without any, or without a header', async () => {
    const lines = readFileSync(SAMPLE, 'utf8').trim().split('\n');
    const files = {
      'empty.jsonl': '',
      'packed.jsonl.gz': 'no gzip',
      'headless.jsonl': lines.slice(1).join('\n'),
      'words.jsonl': 'words\n',
      'versions.jsonl': '{"kind":"header","format":1}\n',
    };
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(folder, name), text);
      await expect(run(join(folder, name)), name).rejects.toThrow(UsageError);
    }
  });

  it('of another dialect are refused', async () => {
    const other = join(folder, 'other.jsonl');
    writeFileSync(other, readFileSync(SAMPLE, 'utf8').replace(/"json_repair":"[^"]+"/, '"json_repair":"0.1.0"'));
    const { code, last } = await run(other);
    expect([code, last]).toEqual([3, expect.stringMatching(/^dialect differs: json_repair 0\.1\.0, here /)]);
  });
});

describe('the command line', () => {
  it.each([[[]], [['cases.txt']], [[SAMPLE, '--only', 'all']], [[SAMPLE, '--via', 'magic']], [[SAMPLE, '--speed']]])(
    'refuses %j',
    (args) => {
      expect(() => readOptions(args)).toThrow(UsageError);
    },
  );

  it('refuses a file that is not there before anything is started', async () => {
    await expect(run(join(folder, 'nothing.jsonl'))).rejects.toThrow(UsageError);
  });
});
