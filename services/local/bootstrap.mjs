#!/usr/bin/env node
// Runs under whatever Node ≥ 20 the machine has, before anything is installed: plain JavaScript, no dependency.
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { withLock } from './setup/lock.mjs';
import { findNode24, installPackages, isInstalled } from './setup/node-modules.mjs';
import { makeVenv, planVenv, venvPython } from './setup/python.mjs';
import { runInForeground } from './setup/run.mjs';
import { SetupError, say } from './setup/say.mjs';
import { generate, runChecks, runComposeTests, runConformance, runTests } from './setup/tools.mjs';

const NODE_MIN = 20;
const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const SIDECAR = join(ROOT, 'python-sidecar');
const SERVED = ['requirements', 'requirements-optimizers'];

const COMMANDS = {
  demo: { python: 'serve', run: (room, args) => launch(room, 'demo', args) },
  start: { python: 'serve', run: (room, args) => launch(room, 'start', args) },
  migrate: { python: 'none', run: (room, args) => launch(room, 'migrate', args) },
  bench: { python: 'develop', run: (room, args) => inNode(room, [join(ROOT, 'test', 'bench', 'main.ts'), ...args]) },
  conformance: { python: 'serve', run: runConformance },
  test: { python: 'develop', run: runTests },
  'test:compose': { python: 'none', run: runComposeTests },
  check: { python: 'develop', run: runChecks },
  gen: { python: 'develop', run: generate },
};

async function main([name, ...args]) {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < NODE_MIN) throw new SetupError(`Node ${NODE_MIN} or newer is needed, this is ${process.version}`);
  const command = Object.hasOwn(COMMANDS, name ?? '') ? COMMANDS[name] : undefined;
  if (!command) throw new SetupError(`unknown command \`${name ?? ''}\`: one of ${Object.keys(COMMANDS).join(', ')}`);
  const dataDir = resolve(ROOT, process.env.SIGNET_DATA_DIR || '.signet');
  const venv = join(dataDir, 'venv');
  const locks = locksFor(command.python);
  await setUp(dataDir, venv, locks);
  const bin = join(ROOT, 'node_modules', '.bin');
  const env = { ...process.env, SIGNET_DATA_DIR: dataDir, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` };
  const room = { root: ROOT, sidecar: SIDECAR, node: findNode24(ROOT), python: venvPython(venv), env };
  return await command.run(room, args);
}

function locksFor(python) {
  const files = { none: [], serve: SERVED, develop: [...SERVED, 'requirements-dev'] }[python];
  return files.map((name) => ({ name, path: join(SIDECAR, `${name}.lock`) })).filter(({ path }) => existsSync(path));
}

async function setUp(dataDir, venv, locks) {
  mkdirSync(dataDir, { recursive: true });
  const isReady = () => isInstalled(ROOT) && (locks.length === 0 || isComplete(planVenv(venv, locks)));
  if (isReady()) return;
  say('Setting up Signet');
  // One lock for all data folders: they share node_modules.
  await withLock(join(ROOT, '.signet', 'setup.lock'), async () => {
    if (!isInstalled(ROOT)) await installPackages(ROOT);
    if (locks.length > 0) await makeVenv(venv, locks);
  });
}

function isComplete({ remake, install }) {
  return !remake && install.length === 0;
}

function launch(room, command, args) {
  return inNode(room, [join(ROOT, 'services', 'local', 'main.ts'), command, ...args]);
}

function inNode(room, args) {
  return runInForeground(room.node, args, { cwd: ROOT, env: room.env });
}

function explain(error) {
  if (error instanceof SetupError) return error.message;
  if (error?.code === 'ENOSPC') return 'the disk is full';
  if (error?.code === 'EACCES' || error?.code === 'EROFS')
    return `${error.path ?? 'the data folder'} cannot be written (${error.code})`;
  return error?.stack ?? String(error);
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    say(`signet: ${explain(error)}`);
    process.exitCode = 1;
  },
);
