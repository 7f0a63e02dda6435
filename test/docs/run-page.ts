import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../support/source-files.ts';
import { type Block, blocksOf } from './blocks.ts';

/** A block that was run: what it printed, and what the page says that it prints, if it says so. */
export type RanBlock = { readonly block: Block; readonly output: string; readonly expected: Block | undefined };

/** What became of a page. */
export type RanPage = { readonly code: number; readonly log: string; readonly blocks: readonly RanBlock[] };

/**
 * Runs the blocks `sh run` of a page one after another in one shell, which ends at the first failure. A block `expect` or `json expect`
 * that follows says what the one before printed. Blocks such as `ts file ask.ts` lie beside it under their names, and what the
 * repository has installed is there to be imported or called by `npx`.
 */
export async function runPage(text: string, env: Readonly<Record<string, string>>): Promise<RanPage> {
  const all = blocksOf(text);
  const runnable = all.filter(({ info }) => info === 'sh run');
  const folder = mkdtempSync(join(tmpdir(), 'signet-docs-'));
  try {
    const steps = runnable.map((block, index) => `{\n${block.text}\n} > ${join(folder, `${index}.out`)}`);
    for (const { info, text: content } of all) {
      const [, name] = /^\w+ file ([\w-]+\.\w+)$/.exec(info) ?? [];
      if (name !== undefined) writeFileSync(join(folder, name), `${content}\n`);
    }
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const script = join(folder, 'page.sh');
    writeFileSync(script, ['set -euo pipefail', ...steps, ''].join('\n'));
    const { code, log } = await runScript(script, folder, env);
    const blocks = runnable.map((block, index) => {
      const next = all[all.indexOf(block) + 1];
      const expected = next !== undefined && /\bexpect$/.test(next.info) ? next : undefined;
      return { block, output: readIfThere(join(folder, `${index}.out`)), expected };
    });
    return { code, log, blocks };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runScript(script: string, cwd: string, env: Readonly<Record<string, string>>) {
  return new Promise<{ code: number; log: string }>((resolve, reject) => {
    const child = spawn('bash', [script], { cwd, env, stdio: ['ignore', 'ignore', 'pipe'], timeout: 60_000 });
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, log }));
  });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/**
 * Where an output differs from what a page shows, as paths; empty if it does not. Of JSON the page may show less than there is, and `…` stands
 * for anything; of text every line that the page shows must be there in order, `…` again standing for anything.
 */
export function differences(expected: Block, output: string): string[] {
  if (expected.info.startsWith('json')) {
    // The answer's body is what stands last: headers may come before it.
    const body = output.slice(Math.max(0, output.search(/^[[{]/m)));
    return inJson(JSON.parse(expected.text), JSON.parse(body), '$');
  }
  const lines = output.split(/\r?\n/);
  let from = 0;
  return expected.text.split('\n').filter((wanted) => {
    if (wanted.trim() === '…' || wanted.trim() === '') return false;
    const found = lines.findIndex((line, index) => index >= from && matches(wanted, line));
    if (found < 0) return true;
    from = found + 1;
    return false;
  });
}

function inJson(expected: unknown, actual: unknown, path: string): string[] {
  if (typeof expected === 'string') {
    return typeof actual === 'string' && matches(expected, actual) ? [] : [`${path}: ${JSON.stringify(actual)}`];
  }
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length < expected.length) return [`${path}: ${JSON.stringify(actual)}`];
    return expected.flatMap((one, index) => inJson(one, actual[index], `${path}[${index}]`));
  }
  if (typeof expected === 'object' && expected !== null) {
    if (typeof actual !== 'object' || actual === null) return [`${path}: ${JSON.stringify(actual)}`];
    const object = actual as Record<string, unknown>;
    return Object.entries(expected).flatMap(([key, one]) => inJson(one, object[key], `${path}.${key}`));
  }
  // A number that changes from run to run is shown as an example.
  if (typeof expected === 'number') return typeof actual === 'number' ? [] : [`${path}: ${JSON.stringify(actual)}`];
  return expected === actual ? [] : [`${path}: ${JSON.stringify(actual)}`];
}

function matches(wanted: string, actual: string): boolean {
  const pattern = wanted.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${pattern.join('[\\s\\S]*')}$`).test(actual);
}
