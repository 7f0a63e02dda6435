import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, sep } from 'node:path';
import process from 'node:process';
import { runQuietly } from './run.mjs';
import { SetupError, withProgress } from './say.mjs';

/** Says whether what npm installed last (its own hidden lock, written when it is done) is what the lock asks for. */
export function isInstalled(root) {
  const wanted = readPackages(join(root, 'package-lock.json'));
  const present = readPackages(join(root, 'node_modules', '.package-lock.json'));
  if (!wanted || !present) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.startsWith('node_modules/')) return true;
    const installed = present[path];
    if (!installed) return entry.optional === true || entry.devOptional === true || entry.peer === true;
    return installed.version === entry.version && installed.integrity === entry.integrity;
  });
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** Installs the locked packages with the npm that runs us. */
export async function installPackages(root) {
  const { command, prefix } = findNpm(process.env, process.execPath, root);
  const args = [...prefix, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await withProgress('installing Node packages', () =>
    runQuietly(command, args, { cwd: root, what: 'npm ci failed', folder: root }),
  );
  if (!isInstalled(root)) throw new SetupError('npm ci ended, but node_modules is not what package-lock.json asks for');
}

/** How to call npm: by the script and the Node that run us, else by name. Never by a Node inside node_modules, which `npm ci` removes first. */
export function findNpm(env, execPath, root) {
  const script = env.npm_execpath;
  const candidates = [env.npm_node_execpath, env.NODE, execPath];
  const node = candidates.find((path) => path && !path.startsWith(join(root, 'node_modules') + sep));
  if (node && script && /^npm-cli\.c?js$/.test(basename(script)) && existsSync(script))
    return { command: node, prefix: [script] };
  return { command: 'npm', prefix: [] };
}

/** The Node 24 that runs the TypeScript: the one out of the packages, else this one if it is new enough. */
export function findNode24(root) {
  const packaged = join(root, 'node_modules', '.bin', 'node');
  if (existsSync(packaged) && spawnSync(packaged, ['--version'], { stdio: 'ignore' }).status === 0) return packaged;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  const platform = `${process.platform}-${process.arch}`;
  throw new SetupError(
    `no Node 24 comes as a package for ${platform}: install Node 24 or newer (this is ${process.version})`,
  );
}
