import { setTimeout as delay } from 'node:timers/promises';
import { listProcesses, workersOf } from '../../support/processes.ts';
import type { Random } from '../../support/random.ts';
import type { Ground } from './ground.ts';

/** What may fall. `worker` are all Python workers of one sidecar, `job` is the process of an optimizer. */
export const VICTIMS = ['executor', 'worker', 'job', 'postgres', 'sidecar'] as const;

/** One of them. */
export type Victim = (typeof VICTIMS)[number];

/** Who fell, and between when and when. */
export type Fall = { readonly victim: Victim; readonly fromMs: number; readonly untilMs: number };

/** Kills one victim at once, leaves it dead for a moment, and starts it again; where there is none, an executor in its place. */
export async function fell(ground: Ground, random: Random, wanted: Victim): Promise<Fall> {
  const { stack, postgres } = ground;
  const at = random.pick([0, 1] as const);
  const awayMs = random.below(1_500);
  const fromMs = Date.now();
  const pids = wanted === 'job' ? optimizersOf(ground) : wanted === 'worker' ? runnersOf(ground, at) : [];
  for (const pid of pids) kill(pid);
  if (pids.length > 0) return { victim: wanted, fromMs, untilMs: Date.now() };
  const victim = wanted === 'job' || wanted === 'worker' ? 'executor' : wanted;
  if (victim === 'postgres') await postgres.kill();
  else await stack.kill(victim, at);
  const untilMs = Date.now();
  await delay(awayMs);
  if (victim === 'postgres') await postgres.restart();
  else await stack.start(victim, at);
  return { victim, fromMs, untilMs };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended since.
  }
}

const isOptimizer = (command: string): boolean => command.includes('signet_sidecar.optimize');

/** The processes in which optimizers are at work. */
export function optimizersOf({ stack }: Ground): number[] {
  const sidecars = [stack.pid('sidecar', 0), stack.pid('sidecar', 1)];
  return listProcesses()
    .filter(({ parent, command }) => sidecars.includes(parent) && isOptimizer(command))
    .map(({ pid }) => pid);
}

function runnersOf(ground: Ground, at: 0 | 1): number[] {
  const optimizers = optimizersOf(ground);
  return workersOf(ground.stack.pid('sidecar', at)).filter((pid) => !optimizers.includes(pid));
}
