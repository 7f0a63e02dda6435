import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** What runs where: the content of `run.json`. A process that is down has no `pid` until it is started again. */
export type RunFile = {
  registry?: { pid?: number; address: string; metrics?: string };
  executor?: { pid?: number; address: string; metrics?: string };
  gateway?: { pid?: number; http: string; grpc: string };
  sidecar?: { pid?: number; address: string; metrics?: string; workers: { pid: number }[] };
  postgres?: { pid?: number; url: string };
};

/** Replaces the file in one step, readable by its owner alone: a reader sees the old content or the new, never a part. */
export function writeRunFile(path: string, content: RunFile): void {
  const unfinished = `${path}.${process.pid}`;
  writeFileSync(unfinished, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(unfinished, path);
}

/** Reads the file; undefined when nothing runs. */
export function readRunFile(path: string): RunFile | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as RunFile;
  } catch {
    return undefined;
  }
}

/** Removes the file: nothing runs any more. */
export function removeRunFile(path: string): void {
  rmSync(path, { force: true });
}
