import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from './free-port.ts';
import { openLogFile } from './log-file.ts';
import { becomesTrue } from './postgres/postmaster-file.ts';
import { SupervisedProcess } from './supervise.ts';

const SUPPORT = join(import.meta.dirname, 'test-support');

let room: string;
let services: SupervisedProcess[] = [];
let changes: string[] = [];

beforeEach(() => {
  room = mkdtempSync(join(tmpdir(), 'signet-supervise-'));
  changes = [];
});

afterEach(async () => {
  await Promise.all(services.map((service) => service.stop()));
  services = [];
  rmSync(room, { recursive: true, force: true });
});

function fake(
  env: Record<string, string> = {},
  limits: { readyMs?: number; graceMs?: number } = {},
): SupervisedProcess {
  const service = new SupervisedProcess(
    {
      name: 'fake',
      command: process.execPath,
      args: [join(SUPPORT, 'fake-service.ts')],
      cwd: room,
      env: { PATH: process.env.PATH, ...env },
      log: openLogFile(join(room, 'fake.log'), { alsoOnTerminal: false, name: 'fake' }),
      ...limits,
    },
    (event) => changes.push(event),
  );
  services.push(service);
  return service;
}

const isAlive = (pid: number | undefined) => pid !== undefined && existsSync(`/proc/${pid}`);

describe('supervision', { timeout: 30_000 }, () => {
  it('gives what the process says when it listens, and ends it cleanly', async () => {
    const port = await freePort();
    const service = fake({ PORT: String(port) });
    expect(await service.start()).toEqual({ event: 'listening', address: `127.0.0.1:${port}` });
    const pid = service.pid;
    await service.stop();
    await service.stop();
    expect(isAlive(pid)).toBe(false);
    expect(readFileSync(join(room, 'fake.log'), 'utf8')).toContain('"listening"');
  });

  it('starts a process that was killed again on its address, and tells of both', async () => {
    const port = await freePort();
    const service = fake({ PORT: String(port) });
    await service.start();
    for (const round of [1, 2]) {
      const before = service.pid ?? 0;
      process.kill(before, 'SIGKILL');
      expect(await becomesTrue(() => changes.filter((change) => change === 'up').length === round + 1, 10_000)).toBe(
        true,
      );
      expect(service.pid).not.toBe(before);
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe(String(service.pid));
    }
    expect(changes).toEqual(['up', 'down', 'up', 'down', 'up']);
  });

  it('starts nothing any more once it was stopped', async () => {
    const service = fake();
    await service.start();
    process.kill(service.pid ?? 0, 'SIGKILL');
    await becomesTrue(() => changes.includes('down'), 5_000);
    await service.stop();
    expect(await becomesTrue(() => changes.length > 2, 1_000)).toBe(false);
    expect(service.pid).toBeUndefined();
  });

  it('says in one line why a first start failed and does not try again', async () => {
    const service = fake({ BEHAVIOUR: 'dies at once' });
    await expect(service.start()).rejects.toThrow(/^fake ended with 1: fake: the database refuses$/);
    expect(service.pid).toBeUndefined();
  });

  it('says that a program cannot be started at all', async () => {
    const service = new SupervisedProcess(
      {
        name: 'ghost',
        command: join(room, 'no-such-program'),
        args: [],
        cwd: room,
        env: {},
        log: { path: '', write: () => undefined, note: () => undefined },
      },
      () => undefined,
    );
    await expect(service.start()).rejects.toThrow(/^ghost cannot be started: .*ENOENT/);
  });

  it('gives up on a process that never listens and leaves none behind', async () => {
    const service = fake({ BEHAVIOUR: 'never listens' }, { readyMs: 1_000 });
    const starting = service.start();
    const pid = service.pid;
    await expect(starting).rejects.toThrow(/fake did not come up within 1 s/);
    expect(await becomesTrue(() => !isAlive(pid), 5_000)).toBe(true);
  });

  it('kills a process that does not drain in time', async () => {
    const service = fake({ BEHAVIOUR: 'ignores SIGTERM' }, { graceMs: 300 });
    await service.start();
    const pid = service.pid;
    await service.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('leaves no process behind when the launcher is killed', async () => {
    const holder = spawn(process.execPath, [join(SUPPORT, 'hold-service.ts')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let pid = 0;
    for await (const line of createInterface({ input: holder.stdout })) {
      pid = Number(line);
      break;
    }
    expect(isAlive(pid)).toBe(true);
    holder.kill('SIGKILL');
    expect(await becomesTrue(() => !isAlive(pid), 5_000)).toBe(true);
  });
});
