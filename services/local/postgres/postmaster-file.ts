import { existsSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LaunchError } from '../launch-error.ts';

const STOP_FAST_MS = 15_000;
const STOP_IMMEDIATE_MS = 5_000;

/** What the server writes about itself in its data folder; undefined when there is no such file, or none that can be read. */
export type PostmasterFile = { pid: number; ready: boolean };

/** Reads `postmaster.pid` of a data folder. */
export function readPostmasterFile(folder: string): PostmasterFile | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return undefined;
  }
  const pid = Number(lines[0]);
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
  return { pid, ready: lines[7]?.trim() === 'ready' };
}

/**
 * Settles what an earlier server left in a data folder: stops it cleanly if it still lives, removes its file if its process is gone or the
 * number now belongs to somebody else's process. Afterwards a new server may start.
 */
export async function settleEarlierServer(folder: string): Promise<'none' | 'stopped' | 'removed'> {
  const path = join(folder, 'postmaster.pid');
  if (!existsSync(path)) return 'none';
  const left = readPostmasterFile(folder);
  if (left && isServerOf(left.pid, folder)) {
    await stopServer(left.pid, () => !isServerOf(left.pid, folder));
    return 'stopped';
  }
  rmSync(path, { force: true });
  return 'removed';
}

/** Stops a server: fast (open transactions roll back, all is written), then immediate (recovers at its next start), then by force. */
export async function stopServer(pid: number, isGone: () => boolean): Promise<void> {
  const steps: [NodeJS.Signals, number][] = [
    ['SIGINT', STOP_FAST_MS],
    ['SIGQUIT', STOP_IMMEDIATE_MS],
    ['SIGKILL', STOP_IMMEDIATE_MS],
  ];
  for (const [signal, waitMs] of steps) {
    if (isGone()) return;
    try {
      process.kill(pid, signal);
    } catch {
      if (isGone()) return;
    }
    if (await becomesTrue(isGone, waitMs)) return;
  }
  throw new LaunchError(`the embedded Postgres (process ${pid}) does not end`);
}

/** Polls a condition every 20 ms, for at most the given time; says whether it came true. */
export async function becomesTrue(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) return false;
    await sleep(20);
  }
  return true;
}

// A server's working directory is its data folder: a recycled process number never matches.
function isServerOf(pid: number, folder: string): boolean {
  try {
    if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return false;
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(folder);
  } catch {
    return false;
  }
}
