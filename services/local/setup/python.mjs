import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runQuietly } from './run.mjs';
import { SetupError, withProgress } from './say.mjs';

const NAMES = ['python3', 'python3.12', 'python3.11', 'python', 'python3.13', 'python3.14'];
// The locks carry the packages of these. From 3.13 on, instructions that begin with white space other than blanks keep it.
const MINOR_MIN = 11;
const MINOR_MAX = 14;
const PROBE = `
import importlib.util as u, json, sys
has = lambda name: u.find_spec(name) is not None
print(json.dumps({"version": list(sys.version_info[:3]), "path": sys.executable, "venv": has("venv") and has("ensurepip")}))
`;

/** Asks one Python what it is; undefined when there is none of that name that runs. */
export function probePython(name) {
  const result = spawnSync(name, ['-I', '-c', PROBE], { encoding: 'utf8', timeout: 20_000 });
  if (result.status !== 0) return undefined;
  try {
    return JSON.parse(result.stdout.trim().split('\n').at(-1));
  } catch {
    return undefined;
  }
}

/** Finds a Python (3.11 to 3.14) that can make virtual environments. Throws a SetupError that says what is wrong with those that are there. */
export function findPython(probe = probePython) {
  const found = [];
  for (const name of NAMES) {
    const python = probe(name);
    if (!python) continue;
    if (fits(python) && python.venv) return python;
    found.push(python);
  }
  const withoutVenv = found.find(fits);
  if (withoutVenv) {
    const version = withoutVenv.version.join('.');
    throw new SetupError(
      `Python ${version} (${withoutVenv.path}) has no venv module: install it, on Debian by \`apt install python3-venv\``,
    );
  }
  const newer = found.find(({ version }) => minorOf(version) > MINOR_MAX);
  if (newer) {
    throw new SetupError(
      `Python ${newer.version.join('.')} (${newer.path}) is newer than what the sidecar's packages are locked for: install one of Python 3.${MINOR_MIN} to 3.${MINOR_MAX}`,
    );
  }
  if (found[0]) {
    throw new SetupError(
      `Python 3.${MINOR_MIN} or newer is needed, found only ${found[0].version.join('.')} (${found[0].path})`,
    );
  }
  throw new SetupError(
    `Python 3.${MINOR_MIN} or newer is needed and none was found: install it, on Debian by \`apt install python3 python3-venv\``,
  );
}

function fits({ version }) {
  return minorOf(version) >= MINOR_MIN && minorOf(version) <= MINOR_MAX;
}

function minorOf([major, minor]) {
  return major === 3 ? minor : (major - 3) * 1_000;
}

/** The Python of a virtual environment. */
export function venvPython(venv) {
  return join(venv, 'bin', 'python');
}

/**
 * What has to be done so that a virtual environment holds what the locks name: nothing, add the missing ones, or make it afresh.
 * A stamp per lock is written after it was installed, so an interrupted set-up begins again.
 */
export function planVenv(venv, locks) {
  if (!existsSync(venvPython(venv)) || !locks.some((lock) => existsSync(stampOf(venv, lock))))
    return { remake: true, install: locks };
  const states = locks.map((lock) => ({ lock, stamp: readStamp(venv, lock) }));
  if (states.some(({ lock, stamp }) => stamp !== undefined && stamp !== hashOf(lock)))
    return { remake: true, install: locks };
  return { remake: false, install: states.filter(({ stamp }) => stamp === undefined).map(({ lock }) => lock) };
}

/** Brings a virtual environment to what the locks name: `[{name, path}]`, installed in this order, each file checked by its hash. */
export async function makeVenv(venv, locks) {
  const plan = planVenv(venv, locks);
  if (plan.remake) {
    const python = findPython();
    rmSync(venv, { recursive: true, force: true });
    const what = `making a virtual environment (Python ${python.version.join('.')})`;
    await withProgress(what, () =>
      runQuietly(python.path, ['-m', 'venv', venv], {
        what: 'the virtual environment could not be made',
        folder: dirname(venv),
      }),
    );
  }
  for (const lock of plan.install) {
    await withProgress(`installing Python packages (${lock.name})`, () => install(venv, lock));
    writeFileSync(stampOf(venv, lock), hashOf(lock));
  }
}

async function install(venv, lock) {
  const options = [
    '--require-hashes',
    '--no-deps',
    '--only-binary=:all:',
    '--no-input',
    '--disable-pip-version-check',
    '--quiet',
  ];
  const what = `the Python packages of ${lock.name} could not be installed`;
  await runQuietly(venvPython(venv), ['-m', 'pip', 'install', ...options, '-r', lock.path], { what, folder: venv });
}

function stampOf(venv, lock) {
  return join(venv, `.signet-${lock.name}`);
}

function readStamp(venv, lock) {
  const path = stampOf(venv, lock);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function hashOf(lock) {
  return createHash('sha256').update(readFileSync(lock.path)).digest('hex');
}
