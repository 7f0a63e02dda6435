import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { type ProfileSummary, readCpuProfile } from './cpu-profile.ts';
import { type Door, startSignet } from './signet.ts';
import type { StageContext } from './stages.ts';

const IN_FLIGHT = 32;
const PROFILED = ['gateway', 'executor'] as const;

/** Runs one cell of each engine with a profiler in gateway and executor and prints where their time goes, per call. */
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
  const engine = python === undefined ? 'mock' : 'Python';
  const doors: [string, Door][] = [
    ['HTTP', signet.doors.json],
    ['gRPC', signet.doors.unary],
  ];
  for (const [name, door] of doors) {
    if (!bench.wants(`Signet, ${engine}, ${name}`)) continue;
    await bench.runDoor(door, IN_FLIGHT, 2 * bench.options.warmUpSeconds);
    const pids = PROFILED.map((process) => signet.pids[process]?.[0] ?? 0);
    for (const pid of pids) process.kill(pid, 'SIGUSR2');
    const report = await bench.runDoor(door, IN_FLIGHT, bench.options.seconds);
    for (const pid of pids) process.kill(pid, 'SIGUSR2');
    process.stdout.write(`\n## ${engine} engine, ${name}, ${IN_FLIGHT} in flight: ${report.calls} calls\n`);
    for (const [index, pid] of pids.entries()) {
      const file = join(folder, `${pid}.cpuprofile`);
      await eventually(async () => {
        if (!existsSync(file)) throw new Error(`${PROFILED[index]} wrote no profile`);
      });
      print(PROFILED[index] ?? '', readCpuProfile(file), report.calls);
      rmSync(file);
    }
  }
  await signet.close();
}

function print(name: string, { totalUs, places, functions }: ProfileSummary, calls: number): void {
  const line = ({ name: what, selfUs }: { name: string; selfUs: number }): string =>
    `  ${(selfUs / calls).toFixed(1).padStart(7)} µs ${((selfUs / totalUs) * 100).toFixed(1).padStart(5)} %  ${what}`;
  const text = [
    `\n### ${name}: ${(totalUs / calls).toFixed(0)} µs a call`,
    ...['by place', ...places.slice(0, 16).map(line)],
    ...['by function', ...functions.slice(0, 30).map(line)],
  ];
  process.stdout.write(`${text.join('\n')}\n`);
}
