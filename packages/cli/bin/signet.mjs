#!/usr/bin/env node
// Runs under whatever Node ≥ 20 the machine has, before anything is known to be installed: plain JavaScript.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const setup = (name) => import(new URL(`services/local/setup/${name}`, new URL('../../../', import.meta.url)).href);

async function main() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) throw new Error(`Node 20 or newer is needed, this is ${process.version}`);
  if (!existsSync(join(ROOT, 'node_modules', 'commander'))) {
    throw new Error(`nothing is installed yet: run \`npm ci\` or \`npm start\` in ${ROOT}`);
  }
  if (major >= 24) {
    await import(MAIN);
    return;
  }
  const [{ findNode24 }, { runInForeground }] = await Promise.all([setup('node-modules.mjs'), setup('run.mjs')]);
  process.exitCode = await runInForeground(findNode24(ROOT), [MAIN, ...process.argv.slice(2)], { env: process.env });
}

main().catch((error) => {
  process.stderr.write(`signet: ${error.message}\n`);
  process.exitCode = 1;
});
