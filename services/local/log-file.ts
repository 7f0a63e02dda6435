import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const SIZE_MAX_BYTES = 20 * 1024 * 1024;

/** Where the lines of one process go. */
export type LogFile = { path: string; write(line: string): void; note(text: string): void };

/** Opens a log of one process: appended to, moved to `.1` when it exceeds 20 MiB, also shown on standard error when asked. A full disk loses lines, never the process. */
export function openLogFile(path: string, options: { alsoOnTerminal: boolean; name: string }): LogFile {
  mkdirSync(dirname(path), { recursive: true });
  let sizeBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const write = (line: string) => {
    if (options.alsoOnTerminal) process.stderr.write(`${options.name} | ${line}\n`);
    try {
      if (sizeBytes > SIZE_MAX_BYTES) {
        renameSync(path, `${path}.1`);
        sizeBytes = 0;
      }
      appendFileSync(path, `${line}\n`, { mode: 0o600 });
      sizeBytes += line.length + 1;
    } catch {
      // Logging never ends what it reports on.
    }
  };
  return {
    path,
    write,
    note: (text) => write(JSON.stringify({ time: new Date().toISOString(), from: 'launcher', msg: text })),
  };
}
