import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { say } from './say.mjs';

/** Does something while no other process on this machine holds the same lock file; waits for a holder that lives, ignores one that died. */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  let waiting = false;
  while (!tryTake(path)) {
    if (!waiting) say('  another set-up is running: waiting for it');
    waiting = true;
    await sleep(200);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function tryTake(path) {
  try {
    writeFileSync(path, describeProcess(process.pid) ?? '', { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const holder = read(path);
  if (holder === undefined || lives(holder)) return false;
  // Moved away before it is removed: so of two that find the same dead holder, neither removes the other's fresh lock unseen.
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    if (read(aside) === holder) rmSync(aside, { force: true });
    else renameSync(aside, path);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  return false;
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function lives(holder) {
  const pid = Number(holder.split(' ')[0]);
  // Just made, not yet written.
  if (!Number.isSafeInteger(pid) || pid <= 0) return holder === '';
  return describeProcess(pid) === holder;
}

// The start time tells a process from a later one that got its number.
function describeProcess(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return `${pid} ${stat.slice(stat.lastIndexOf(')')).split(' ')[20]}`;
  } catch {
    try {
      process.kill(pid, 0);
      return `${pid} 0`;
    } catch {
      return undefined;
    }
  }
}
