import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { findPostgresBinaries } from '../../services/local/postgres/binaries.ts';

/** One line that says what the figures were taken on. `python` is the interpreter of the Python rows, if there is one. */
export function describeMachine(python: string | undefined): string {
  const cores = cpus();
  const parts = [
    `${cores[0]?.model.trim() ?? 'unknown CPU'}, ${cores.length} cores`,
    `${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Node ${process.versions.node}`,
    python === undefined ? 'no Python' : lastWord('Python', python, ['--version']),
    lastWord('Postgres', findPostgresBinaries().postgres, ['--version']),
    new Date().toISOString().slice(0, 10),
  ];
  return parts.join(' · ');
}

function lastWord(name: string, command: string, args: string[]): string {
  try {
    return `${name} ${execFileSync(command, args, { encoding: 'utf8' }).trim().split(/\s+/).at(-1)}`;
  } catch {
    return `${name} unknown`;
  }
}
