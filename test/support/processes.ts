import { readdirSync, readFileSync } from 'node:fs';

/** A process of this machine, as far as it may be looked at. */
export type SeenProcess = { readonly pid: number; readonly parent: number; readonly command: string };

/** The worker processes below a sidecar's supervisor. */
export function workersOf(supervisor: number): number[] {
  return listProcesses()
    .filter(({ parent, command }) => parent === supervisor && !command.includes('resource_tracker'))
    .map(({ pid }) => pid);
}

/** The processes that were started with a text in their environment or on their command line. */
export function processesWith(text: string): SeenProcess[] {
  return listProcesses().filter(({ pid, command }) => command.includes(text) || read(pid, 'environ').includes(text));
}

/** All processes. */
export function listProcesses(): SeenProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = read(Number(name), 'stat');
      // The command's name stands in brackets and may hold any character.
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (parent === undefined || state === 'Z') return [];
      const command = read(Number(name), 'cmdline').replaceAll('\0', ' ').trim();
      return [{ pid: Number(name), parent: Number(parent), command }];
    });
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // It has ended since, or belongs to somebody else.
    return '';
  }
}
