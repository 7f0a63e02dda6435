import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';
import { explainSystemError, LaunchError } from './launch-error.ts';
import { findPostgresBinaries, type PostgresBinaries } from './postgres/binaries.ts';
import { type Cluster, explainPostgresFailure, openCluster, POSTGRES_ENV } from './postgres/cluster.ts';
import { readPostmasterFile, settleEarlierServer, stopServer } from './postgres/postmaster-file.ts';
import { chooseRunAs, type RunAs } from './postgres/run-as.ts';
import { makeSocketFolder, removeLeftSocketFolder } from './postgres/socket-folder.ts';

const READY_MS = 60_000;
const LOG_MAX_BYTES = 10 * 1024 * 1024;

/** Where and how an embedded server is run. */
export type EmbeddedPostgresOptions = {
  /** The server's folder (made if missing): its data, its password (0600) and its log. One server at a time. */
  dataDir: string;
  /** A port of 127.0.0.1; a free one when left out or 0. */
  port?: number;
  /** False makes commits fast and a crash fatal: for tests that throw the data away. */
  fsync?: boolean;
  /** Hears one line for each step that a person may want to see. */
  log?: (line: string) => void;
};

/** A running embedded server. */
export type EmbeddedPostgres = {
  /** Connection string of the database `signet` over TCP, password included. */
  url: string;
  port: number;
  pid: number;
  /** Folder of the Unix socket, for clients that want the shorter way. */
  socketDir: string;
  /** Resolves when the server's process has ended, for whatever reason. */
  exited: Promise<void>;
  /** Shuts down cleanly and waits for it; repeatable. */
  stop(): Promise<void>;
};

/**
 * Starts a real Postgres on 127.0.0.1, durable unless told otherwise, with an empty database `signet` the first time. A server that an
 * earlier, killed process left running on the same data is shut down first; and should this process be killed, its server shuts down.
 * Throws a LaunchError of one line when the port is taken, the disk is full, or the programs cannot run here.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  const log = options.log ?? (() => undefined);
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const binaries = findPostgresBinaries();
    const runAs = chooseRunAs(binaries.postgres, dataDir);
    if ((await settleEarlierServer(join(dataDir, 'cluster'))) === 'stopped')
      log('stopped the database server of an earlier run');
    removeLeftSocketFolder(dataDir);
    const cluster = openCluster(binaries, runAs, dataDir, options.fsync !== false);
    return await startServer({ binaries, runAs, dataDir, cluster, options });
  } catch (error) {
    throw explainSystemError(error, dataDir);
  }
}

type ServerInput = {
  binaries: PostgresBinaries;
  runAs: RunAs;
  dataDir: string;
  cluster: Cluster;
  options: EmbeddedPostgresOptions;
};

async function startServer(input: ServerInput): Promise<EmbeddedPostgres> {
  const asked = input.options.port ?? 0;
  const end = performance.now() + READY_MS;
  for (;;) {
    const port = asked === 0 ? await freePort() : asked;
    const outcome = await tryStart(input, port);
    if (typeof outcome !== 'string') return outcome;
    const taken = /Address already in use/i.test(outcome);
    if (taken && asked !== 0) throw new LaunchError(`port ${port} for the embedded Postgres is taken`);
    // The backends of a server that was killed keep its memory for a moment until they notice.
    const leaving = /pre-existing shared memory block|lock file "postmaster.pid" already exists/i.test(outcome);
    if (!(taken || leaving) || performance.now() > end) {
      throw explainPostgresFailure(outcome, 'the embedded Postgres did not start');
    }
    await sleep(100);
  }
}

/** Starts once: the running server, or what it said before it ended. */
async function tryStart(input: ServerInput, port: number): Promise<EmbeddedPostgres | string> {
  const { cluster, dataDir, runAs } = input;
  const socketDir = makeSocketFolder(dataDir, runAs);
  const logFile = join(dataDir, 'postgres.log');
  const { descriptor, offset } = openLog(logFile);
  const [command = '', ...args] = [...runAs.prefix, ...serverCommand(input, port, socketDir)];
  // Its own session: a Ctrl-C in the terminal reaches the launcher alone, which stops its processes in order.
  const child = spawn(command, args, {
    cwd: '/',
    env: POSTGRES_ENV,
    detached: true,
    stdio: ['ignore', descriptor, descriptor],
  });
  closeSync(descriptor);
  const exited = new Promise<void>((done) => {
    child.once('exit', () => done());
    child.once('error', () => done());
  });
  const hasExited = () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  if (!(await becomesReady(cluster.folder, child, hasExited))) {
    if (!hasExited() && child.pid) await stopServer(child.pid, hasExited);
    removeLeftSocketFolder(dataDir);
    return readFileSync(logFile, 'utf8').slice(offset);
  }
  const pid = child.pid ?? 0;
  child.unref();
  const watcher = startWatcher(pid, socketDir);
  void exited.then(() => {
    watcher.kill('SIGKILL');
    rmSync(socketDir, { recursive: true, force: true });
  });
  const url = `postgres://postgres:${cluster.password}@127.0.0.1:${port}/signet`;
  return { url, port, pid, socketDir, exited, stop: () => stopServer(pid, hasExited).then(() => exited) };
}

function serverCommand({ binaries, cluster, options }: ServerInput, port: number, socketDir: string): string[] {
  const durable = options.fsync !== false;
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: socketDir,
    max_connections: 200,
    shared_buffers: '128MB',
    huge_pages: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_checkpoints: 'off',
    fsync: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return [binaries.postgres, '-D', cluster.folder, ...flags];
}

async function becomesReady(folder: string, child: ChildProcess, hasExited: () => boolean): Promise<boolean> {
  const end = performance.now() + READY_MS;
  while (performance.now() < end && !hasExited()) {
    const file = readPostmasterFile(folder);
    if (file?.pid === child.pid && file?.ready) return true;
    await sleep(20);
  }
  return false;
}

function openLog(path: string): { descriptor: number; offset: number } {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const fresh = size > LOG_MAX_BYTES;
  return { descriptor: openSync(path, fresh ? 'w' : 'a', 0o600), offset: fresh ? 0 : size };
}

// Holds the other end of a pipe of ours: when this process is gone, however it went, the pipe closes and the server shuts down cleanly.
function startWatcher(pid: number, socketDir: string): ChildProcess {
  const script = 'cat >/dev/null; kill -INT "$0"; while kill -0 "$0" 2>/dev/null; do sleep 0.1; done; rm -rf -- "$1"';
  const watcher = spawn('/bin/sh', ['-c', script, String(pid), socketDir], {
    cwd: '/',
    env: POSTGRES_ENV,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watcher.unref();
  if (watcher.stdin && 'unref' in watcher.stdin && typeof watcher.stdin.unref === 'function') watcher.stdin.unref();
  return watcher;
}
