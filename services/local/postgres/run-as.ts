import { spawnSync } from 'node:child_process';
import { chownSync, lstatSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LaunchError } from '../launch-error.ts';

/** How the server's programs are started: a prefix of the command line, and the user (as seen from here) that must own its files. */
export type RunAs = { prefix: string[]; uid: number; gid: number };

const NOBODY = 65534;

/**
 * Chooses how to run Postgres, which refuses to be root: directly for an ordinary user; for root as user 65534, or, where that user
 * cannot reach the programs or the data (below a folder of mode 0700), inside a user namespace. Throws a LaunchError if neither works.
 */
export function chooseRunAs(program: string, dataDir: string): RunAs {
  const uid = process.getuid?.() ?? NOBODY;
  const gid = process.getgid?.() ?? NOBODY;
  if (uid !== 0) return { prefix: [], uid, gid };
  const candidates: RunAs[] = [
    { prefix: ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'], uid: NOBODY, gid: NOBODY },
    { prefix: ['unshare', '-U', '--map-user=1000', '--map-group=1000'], uid, gid },
  ];
  const works = candidates.find((candidate) => canRun(candidate, program, dataDir));
  if (works) {
    giveTo(works, dataDir);
    return works;
  }
  throw new LaunchError(
    'the embedded Postgres cannot run as root here (neither setpriv nor a user namespace works): start Signet as another user, or set DATABASE_URL',
  );
}

function canRun(candidate: RunAs, program: string, dataDir: string): boolean {
  const [command, ...args] = candidate.prefix;
  if (!command) return false;
  const run = (...what: string[]) =>
    spawnSync(command, [...args, ...what], { stdio: 'ignore', timeout: 10_000 }).status === 0;
  return run(program, '--version') && run('test', '-x', dirname(dataDir));
}

/** Makes a folder and all below it belong to the user that will run the server; a no-op where it does already. */
export function giveTo(runAs: RunAs, path: string): void {
  const stat = lstatSync(path);
  if (stat.uid !== runAs.uid || stat.gid !== runAs.gid) chownTree(path, runAs);
}

function chownTree(path: string, runAs: RunAs): void {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return;
  if (stat.isDirectory()) for (const name of readdirSync(path)) chownTree(join(path, name), runAs);
  chownSync(path, runAs.uid, runAs.gid);
}
