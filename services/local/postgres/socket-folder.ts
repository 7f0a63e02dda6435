import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, isAbsolute, join } from 'node:path';
import { giveTo, type RunAs } from './run-as.ts';

const PREFIX = 'signet-pg-';

/**
 * Makes a folder for the Unix socket of one start, which no other start ever gets: whoever ends that server may remove it at any time. Its
 * name is kept in `dataDir`, so that the next start finds it should nobody be left to remove it.
 */
export function makeSocketFolder(dataDir: string, runAs: RunAs): string {
  // A socket's path may have 107 bytes, less than many data folders: so it stands in the folder for temporary files.
  const folder = mkdtempSync(join(tmpdir(), PREFIX));
  giveTo(runAs, folder);
  writeFileSync(recordOf(dataDir), `${folder}\n`, { mode: 0o600 });
  return folder;
}

/** Removes the socket folder that the last start in `dataDir` made, if it is still there; that start's server must have ended. */
export function removeLeftSocketFolder(dataDir: string): void {
  let folder: string;
  try {
    folder = readFileSync(recordOf(dataDir), 'utf8').trim();
  } catch {
    return;
  }
  // The server's user may write the record: it must never name anything but such a folder.
  const isOurs = isAbsolute(folder) && new RegExp(`^${PREFIX}[A-Za-z0-9]{6}$`).test(basename(folder));
  if (isOurs) rmSync(folder, { recursive: true, force: true });
  rmSync(recordOf(dataDir), { force: true });
}

function recordOf(dataDir: string): string {
  return join(dataDir, 'socket-folder');
}
