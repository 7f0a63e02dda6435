import { spawn } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { constants } from 'node:os';
import process from 'node:process';
import { SetupError } from './say.mjs';

const FREE_MIN_BYTES = 8 * 1024 * 1024;
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const PARENT_POLL_MS = 1_000;

/** Runs a program on this terminal, passes signals on to it, and gives its exit code (128 + n when signal n ended it). */
export function runInForeground(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options });
    const endForwarding = forwardSignals(child);
    child.once('error', (error) => {
      endForwarding();
      reject(error);
    });
    child.once('exit', (code, signal) => {
      endForwarding();
      resolve(code ?? 128 + (constants.signals[signal] ?? 0));
    });
  });
}

/** Runs a program quietly. Throws a SetupError that carries the last telling line of what it printed when it fails. */
export function runQuietly(command, args, { what, folder, ...options }) {
  return new Promise((resolve, reject) => {
    let said = '';
    const keep = (chunk) => {
      said = (said + chunk).slice(-20_000);
    };
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    const endForwarding = forwardSignals(child);
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.once('error', (error) => {
      endForwarding();
      reject(new SetupError(`${what}: ${error.message}`));
    });
    child.once('close', (code) => {
      const signal = endForwarding();
      if (code === 0) return resolve(said);
      return reject(new SetupError(signal ? `${what}: interrupted` : explainFailure(what, said, isDiskFull(folder))));
    });
  });
}

// Without a handler a signal would end this process and leave the child alone; and npm, when it is killed, passes nothing on.
function forwardSignals(child) {
  let seen;
  const forward = (signal) => {
    seen = signal;
    child.kill(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  const parent = process.ppid;
  const watch = () => process.ppid !== parent && forward('SIGTERM');
  const timer = process.env.npm_lifecycle_event ? setInterval(watch, PARENT_POLL_MS) : undefined;
  return () => {
    clearInterval(timer);
    for (const signal of FORWARDED) process.off(signal, forward);
    return seen;
  };
}

// Some programs fail on a full disk without saying why.
function isDiskFull(folder) {
  if (folder === undefined) return false;
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize < FREE_MIN_BYTES;
  } catch {
    return false;
  }
}

/** One line out of what a failed program printed. */
export function explainFailure(what, said, isFull = false) {
  if (isFull || /ENOSPC|No space left on device|Disk quota exceeded/i.test(said)) return `${what}: the disk is full`;
  const lines = said.split('\n').map((line) => line.trim());
  const telling = lines.findLast((line) => /\berror\b/i.test(line) && !/complete log of this run/i.test(line));
  return `${what}: ${telling ?? lines.findLast((line) => line !== '') ?? 'it failed without a word'}`;
}
