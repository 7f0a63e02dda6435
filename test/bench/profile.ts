import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { cpuBetween, readCpu } from './cpu-meter.ts';
import { type ProfileSummary, readCpuProfile, type SpentTime } from './cpu-profile.ts';
import { type Door, startSignet } from './signet.ts';
import type { StageContext } from './stages.ts';

const IN_FLIGHT = 32;
const PROFILED = ['gateway', 'executor'] as const;

/** Runs one cell of each engine, and of the cache, with a profiler in gateway and executor; prints where their time goes, per call. */
export async function profileSignet(context: StageContext, folder: string, python: string | undefined): Promise<void> {
  await profileEngine(context, folder, undefined);
  if (python === undefined) process.stdout.write('left out: the Python engine: there is no Python for the sidecar\n');
  else await profileEngine(context, folder, python);
}

async function profileEngine(context: StageContext, folder: string, python: string | undefined): Promise<void> {
  const { bench, postgres, modelUrl, onStop } = context;
  const hook = join(import.meta.dirname, 'profile-hook.ts');
  const nodeEnv = { NODE_OPTIONS: `--import=${hook}`, BENCH_PROFILE_FOLDER: folder };
  const signet = await startSignet({ databaseUrl: postgres.url, python, lmUrl: modelUrl, nodeEnv });
  onStop(signet.close);
  const doors: readonly (readonly [string, Door])[] =
    python === undefined
      ? [
          ['mock, HTTP', signet.doors.json],
          ['mock, gRPC', signet.doors.unary],
        ]
      : [
          ['Python, HTTP', signet.doors.json],
          ['Python, gRPC', signet.doors.unary],
          ['native, HTTP', signet.native.json],
          ['native, gRPC', signet.native.unary],
          ['native, cached, HTTP', signet.cached.json],
          ['native, cached, gRPC', signet.cached.unary],
        ];
  for (const [name, door] of doors) {
    if (!bench.wants(`Signet, ${name}`)) continue;
    await profileDoor(context, { title: name, door, folder, pids: signet.pids });
  }
  await signet.close();
}

type ProfileInput = {
  readonly title: string;
  readonly door: Door;
  readonly folder: string;
  readonly pids: Readonly<Record<string, readonly number[]>>;
};

async function profileDoor({ bench }: StageContext, { title, door, folder, pids }: ProfileInput): Promise<void> {
  await bench.warmDoor(door, IN_FLIGHT);
  const groups = Object.fromEntries(PROFILED.map((name) => [name, pids[name] ?? []]));
  const signalAll = (): void => {
    for (const [pid = 0] of Object.values(groups)) process.kill(pid, 'SIGUSR2');
  };
  signalAll();
  const before = readCpu(groups);
  const report = await bench.runDoor(door, IN_FLIGHT, bench.options.seconds);
  const used = cpuBetween(before, readCpu(groups));
  signalAll();
  process.stdout.write(`\n## ${title}, ${IN_FLIGHT} in flight: ${report.calls} calls\n`);
  for (const [name, [pid = 0]] of Object.entries(groups)) {
    const file = join(folder, `${pid}.cpuprofile`);
    await eventually(() => {
      if (!existsSync(file)) throw new Error(`${name} wrote no profile`);
    });
    print(name, readCpuProfile(file), ((used[name] ?? 0) * 1000) / report.calls);
    rmSync(file);
  }
}

// The profiler's clock goes on while a process waits for a core; so its shares are taken, of the CPU time that was measured.
function print(name: string, summary: ProfileSummary, cpuUs: number): void {
  const line = ({ name: what, us }: SpentTime): string => {
    const share = us / summary.totalUs;
    return `  ${(share * cpuUs).toFixed(1).padStart(7)} µs ${(share * 100).toFixed(1).padStart(5)} %  ${what}`;
  };
  const text = [
    `\n### ${name}: ${cpuUs.toFixed(0)} µs CPU a call, the profiler's own included`,
    ...['own time by place', ...summary.places.slice(0, 20).map(line)],
    ...['own time by function', ...summary.functions.slice(0, 25).map(line)],
    ...['our functions with what they call', ...summary.inclusive.slice(0, 40).map(line)],
  ];
  process.stdout.write(`${text.join('\n')}\n`);
}
