import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FloodJob, FloodReport } from './flood-job.ts';

/** What is to be flooded. */
export type Target = Pick<FloodJob, 'address' | 'path' | 'key' | 'body'>;

/** How hard, and for how long. */
export type OverloadOptions = {
  /** Seconds of the flood itself; the measures before and after are shorter. */
  readonly seconds: number;
  /** Callers that bring the stack to its peak. */
  readonly callers: number;
  /** How many times the peak is asked for. */
  readonly times: number;
  /** Processes whose memory is watched, by name. */
  readonly pids: Readonly<Record<string, number>>;
};

/** What an overload did. */
export type Overload = {
  /** At its peak, with as many callers as it can serve. */
  readonly peak: FloodReport;
  /** A few callers before the flood and after it. */
  readonly before: FloodReport;
  readonly after: FloodReport;
  readonly flood: FloodReport;
  /** Goodput of the flood as a share of the peak's. */
  readonly share: number;
  /** Resident megabytes by process: before the flood, the most during it, after it. */
  readonly memoryMb: Readonly<Record<string, readonly [before: number, most: number, after: number]>>;
};

const FEW_CALLERS = 4;

/** Finds the peak, asks for so many times as much, and looks at what is left of it. */
export async function overload(target: Target, options: OverloadOptions): Promise<Overload> {
  const shortly = Math.min(Math.max(options.seconds / 4, 2), 10);
  const callers = (count: number, seconds: number) => flood({ ...target, seconds, pace: { callers: count } });
  await callers(options.callers, shortly);
  const before = await callers(FEW_CALLERS, shortly);
  const peak = await callers(options.callers, shortly);
  const memory = watchMemory(options.pids);
  const perSecond = peak.goodPerSecond * options.times;
  const flooded = await flood({ ...target, seconds: options.seconds, pace: { perSecond } });
  const after = await callers(FEW_CALLERS, shortly);
  const share = flooded.goodPerSecond / peak.goodPerSecond;
  return { peak, before, after, flood: flooded, share, memoryMb: memory.stop() };
}

/** Runs one flood in a process of its own. Throws what that said when it broke. */
export function flood(job: FloodJob): Promise<FloodReport> {
  return new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, 'flood-process.ts'), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.once('message', (report: FloodReport & { error?: string }) => {
      if (report.error === undefined) resolve(report);
      else reject(new Error(report.error));
    });
    child.once('exit', (code) => reject(new Error(`the flood ended with ${code}`)));
    child.send(job);
  });
}

function watchMemory(pids: OverloadOptions['pids']) {
  const look = (): Record<string, number> =>
    Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, residentMb(pid)]));
  const before = look();
  const most = { ...before };
  const timer = setInterval(() => {
    for (const [name, now] of Object.entries(look())) most[name] = Math.max(most[name] ?? 0, now);
  }, 200);
  return {
    stop(): Overload['memoryMb'] {
      clearInterval(timer);
      const after = look();
      const names = Object.keys(pids);
      return Object.fromEntries(names.map((name) => [name, [before[name]!, most[name]!, after[name]!] as const]));
    },
  };
}

function residentMb(pid: number): number {
  const [, kb] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kb ?? 0) / 1024);
}
