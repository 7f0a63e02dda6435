import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, startChild } from './child-process.ts';
import { type CpuGroups, type CpuTimes, cpuBetween, readCpu } from './cpu-meter.ts';
import type { LoadJob, LoadReport } from './load/job.ts';
import type { BenchOptions } from './options.ts';
import type { Door } from './signet.ts';

const CALL_MAX = 2_000_000;
// After so many calls the compilers have settled; where a call takes long, time bounds it.
const WARM_CALLS = 12_000;

/** One thing to measure. */
export type Cell = {
  /** The name of the row, such as `Signet, mock, HTTP`. */
  readonly name: string;
  readonly inFlight: number;
  /** Milliseconds before the model's first byte, and between the chunks of what it streams. */
  readonly delayMs: number;
  readonly gapMs: number;
  /** Whose CPU is the row's. */
  readonly groups: CpuGroups;
  run(inFlight: number, seconds: number): Promise<LoadReport>;
};

/** What was measured. CPU is milliseconds per call. */
export type Row = LoadReport & {
  readonly name: string;
  readonly inFlight: number;
  readonly delayMs: number;
  readonly perSecond: number;
  readonly cpuMs: number;
  readonly cpuBy: CpuTimes;
  /** What the load generator and the model took besides. */
  readonly aside: CpuTimes;
};

/** What a set of processes takes while nobody calls, in milliseconds of CPU a second. */
export type Rest = { readonly name: string; readonly cpuMsPerSecond: number; readonly cpuBy: CpuTimes };

/** Measures cells one after another, with one load generator and one scripted model in processes of their own. */
export class Bench {
  readonly rows: Row[] = [];
  readonly rests: Rest[] = [];
  readonly options: BenchOptions;
  private readonly load: Child;
  private readonly model: Child;
  private readonly onRow: (row: Row) => void;

  constructor(options: BenchOptions, onRow: (row: Row) => void) {
    this.options = options;
    this.onRow = onRow;
    this.load = startChild(join(import.meta.dirname, 'load', 'main.ts'));
    this.model = startChild(join(import.meta.dirname, 'scripted-model.ts'));
  }

  /** The model's address, ending in `/v1`. */
  async modelUrl(): Promise<string> {
    return (await this.setModel(0, 0)).url;
  }

  setModel(delayMs: number, gapMs: number): Promise<{ url: string }> {
    return this.model.ask({ delayMs, gapMs });
  }

  /** Puts load on a door. */
  runDoor(door: Door, inFlight: number, seconds: number): Promise<LoadReport> {
    return this.load.ask<LoadReport>({ ...door, inFlight, seconds, callMax: CALL_MAX } satisfies LoadJob);
  }

  /** Calls a door until its processes are warm: 12,000 times, or for four cells' time. */
  async warmDoor(door: Door, inFlight: number): Promise<void> {
    const job = { ...door, inFlight, seconds: 4 * this.options.seconds, callMax: WARM_CALLS } satisfies LoadJob;
    await this.load.ask<LoadReport>(job);
  }

  /** True if a row of this name is wanted. */
  wants(name: string): boolean {
    const { only } = this.options;
    return only.length === 0 || only.some((text) => name.includes(text));
  }

  /** Warms one cell up and measures it; a cell in which nothing succeeded is a row as well. */
  async measure(cell: Cell): Promise<void> {
    await this.setModel(cell.delayMs, cell.gapMs);
    await cell.run(cell.inFlight, this.options.warmUpSeconds);
    const groups = { ...cell.groups, load: [this.load.pid], model: [this.model.pid] };
    const before = readCpu(groups);
    const report = await cell.run(cell.inFlight, this.options.seconds);
    const used = cpuBetween(before, readCpu(groups));
    const perCall = Object.entries(used).map(([name, ms]) => [name, ms / Math.max(1, report.calls)] as const);
    const isAside = (name: string): boolean => name === 'load' || name === 'model';
    const cpuBy = Object.fromEntries(perCall.filter(([name]) => !isAside(name)));
    const row: Row = {
      ...report,
      ...{ name: cell.name, inFlight: cell.inFlight, delayMs: cell.delayMs },
      perSecond: (report.calls * 1000) / report.elapsedMs,
      cpuMs: Object.values(cpuBy).reduce((sum, ms) => sum + ms, 0),
      cpuBy,
      aside: Object.fromEntries(perCall.filter(([name]) => isAside(name))),
    };
    this.rows.push(row);
    this.onRow(row);
  }

  /** Measures processes at rest. */
  async measureRest(name: string, groups: CpuGroups): Promise<void> {
    // What a load leaves behind is done with first.
    await sleep(1000);
    const before = readCpu(groups);
    const begun = performance.now();
    await sleep(this.options.seconds * 1000);
    const used = Object.entries(cpuBetween(before, readCpu(groups)));
    const seconds = (performance.now() - begun) / 1000;
    const cpuBy = Object.fromEntries(used.map(([process, ms]) => [process, ms / seconds]));
    this.rests.push({ name, cpuBy, cpuMsPerSecond: Object.values(cpuBy).reduce((sum, ms) => sum + ms, 0) });
  }

  async close(): Promise<void> {
    await this.load.stop();
    await this.model.stop();
  }
}
