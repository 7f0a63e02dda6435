import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LaunchError } from './launch-error.ts';

/** Makes this process the only launcher of a data folder; gives the function that ends it. Throws a LaunchError while another one lives. */
export function claimFolder(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true });
  const path = join(dataDir, 'launcher');
  if (!tryClaim(path)) {
    const holder = readHolder(path);
    if (holder !== undefined && isAlive(holder)) {
      throw new LaunchError(
        `Signet already runs in ${dataDir} (process ${holder.split(' ')[0]}): stop it, or name another folder in SIGNET_DATA_DIR`,
      );
    }
    rmSync(path, { force: true });
    if (!tryClaim(path)) throw new LaunchError(`another Signet starts in ${dataDir} at this moment`);
  }
  return () => rmSync(path, { force: true });
}

/** Whether a launcher lives on a data folder. */
export function isClaimed(dataDir: string): boolean {
  const holder = readHolder(join(dataDir, 'launcher'));
  return holder !== undefined && isAlive(holder);
}

function tryClaim(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid} ${startTime(process.pid) ?? ''}`, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

function readHolder(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

// The start time tells a process from a later one that got its number.
function isAlive(holder: string): boolean {
  const [pid = '', started = ''] = holder.split(' ');
  return startTime(Number(pid)) === started;
}

function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? undefined : fields[18];
  } catch {
    return undefined;
  }
}
