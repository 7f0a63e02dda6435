import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Processes whose CPU time is counted together, by the name that the table gives them: each with all that it started. */
export type CpuGroups = Readonly<Record<string, readonly number[]>>;

/** CPU time in milliseconds, by group. */
export type CpuTimes = Readonly<Record<string, number>>;

type Process = { readonly parent: number; readonly ticks: number };

// 100 everywhere that this was seen to run; asked once all the same.
const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' })) || 100;

/**
 * Reads the CPU time (user and system, milliseconds since they began, in steps of 10) of groups of process trees. Children that have
 * ended are counted once their parent has waited for them, so a tree's time never falls.
 */
export function readCpu(groups: CpuGroups): CpuTimes {
  const processes = readProcesses();
  const children = new Map<number, number[]>();
  for (const [pid, { parent }] of processes) children.set(parent, [...(children.get(parent) ?? []), pid]);
  const ticksOf = (pid: number): number =>
    (processes.get(pid)?.ticks ?? 0) + (children.get(pid) ?? []).reduce((sum, child) => sum + ticksOf(child), 0);
  const entries = Object.entries(groups).map(([name, pids]) => {
    const ticks = pids.reduce((sum, pid) => sum + ticksOf(pid), 0);
    return [name, (ticks * 1000) / TICKS_PER_SECOND] as const;
  });
  return Object.fromEntries(entries);
}

/** What was used between two readings, by group. */
export function cpuBetween(before: CpuTimes, after: CpuTimes): CpuTimes {
  return Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, Math.max(0, ms - (before[name] ?? 0))]));
}

function readProcesses(): Map<number, Process> {
  const found = new Map<number, Process>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const process = readProcess(pid);
    if (process !== undefined) found.set(pid, process);
  }
  return found;
}

function readProcess(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name stands in parentheses and may hold anything; from the state on, the fields are single words.
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
    return { parent: fields[1] ?? 0, ticks: utime + stime + cutime + cstime };
  } catch {
    return undefined;
  }
}
