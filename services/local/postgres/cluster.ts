import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LaunchError } from '../launch-error.ts';
import type { PostgresBinaries } from './binaries.ts';
import { giveTo, type RunAs } from './run-as.ts';

const MAJOR = '18';

/** A database cluster on disk: the server's data folder and the password of its user `postgres`. */
export type Cluster = { folder: string; password: string };

/** The environment of the server's programs: nothing of ours, so no secret stands in their `/proc` entry. */
export const POSTGRES_ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C', LC_ALL: 'C', TZ: 'UTC' };

/** Opens the cluster in `dataDir`, or makes it, with an empty database `signet`. A half-made one of a start that was killed is made afresh. */
export function openCluster(binaries: PostgresBinaries, runAs: RunAs, dataDir: string, isDurable: boolean): Cluster {
  const folder = join(dataDir, 'cluster');
  const passwordFile = join(dataDir, 'password');
  if (!existsSync(join(folder, 'PG_VERSION'))) makeCluster(binaries, runAs, folder, passwordFile, isDurable);
  const major = readFileSync(join(folder, 'PG_VERSION'), 'utf8').trim();
  if (major !== MAJOR) {
    throw new LaunchError(
      `${folder} was made by Postgres ${major}, this Signet brings ${MAJOR}: move the folder away, or set DATABASE_URL`,
    );
  }
  giveTo(runAs, folder);
  return { folder, password: readFileSync(passwordFile, 'utf8').trim() };
}

function makeCluster(
  binaries: PostgresBinaries,
  runAs: RunAs,
  folder: string,
  passwordFile: string,
  isDurable: boolean,
): void {
  const unfinished = `${folder}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  writeFileSync(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
  mkdirSync(unfinished, { mode: 0o700 });
  giveTo(runAs, unfinished);
  giveTo(runAs, passwordFile);
  const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  const access = ['--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  runOnce(runAs, binaries.initdb, [
    `--pgdata=${unfinished}`,
    ...access,
    ...locale,
    ...(isDurable ? [] : ['--no-sync']),
  ]);
  // The single-user server needs no port and no password; so the cluster is complete before it gets its name.
  runOnce(
    runAs,
    binaries.postgres,
    ['--single', ...(isDurable ? [] : ['-F']), '-D', unfinished, 'postgres'],
    'CREATE DATABASE signet;\n',
  );
  renameSync(unfinished, folder);
}

function runOnce(runAs: RunAs, program: string, args: string[], input = ''): void {
  const [command = program, ...rest] = [...runAs.prefix, program, ...args];
  const result = spawnSync(command, rest, { cwd: '/', env: POSTGRES_ENV, input, encoding: 'utf8', timeout: 120_000 });
  if (result.status === 0) return;
  const said = `${result.stderr ?? ''}\n${result.error?.message ?? ''}`.trim();
  throw explainPostgresFailure(said, 'the embedded Postgres could not make its data folder');
}

/** Makes one line out of what a server's program printed before it failed. */
export function explainPostgresFailure(said: string, what: string): LaunchError {
  if (/No space left on device|Disk quota exceeded/i.test(said)) return new LaunchError(`${what}: the disk is full`);
  if (/Cannot allocate memory|could not create shared memory/i.test(said))
    return new LaunchError(`${what}: not enough memory`);
  const lines = said.split('\n').map((line) => line.trim());
  const telling = lines.findLast((line) => /FATAL|PANIC|error/i.test(line)) ?? lines.findLast((line) => line !== '');
  return new LaunchError(`${what}: ${telling ?? 'it ended without a word'}`);
}
