// A flood in a process of its own, so that neither side's event loop waits for the other's: takes one job, reports, and ends.
// It writes and reads HTTP on plain sockets: a client of more comfort would take more of the machine than what is flooded.
import { type FloodAnswer, FloodConnection } from './flood-connection.ts';
import type { FloodJob, FloodReport } from './flood-job.ts';

const CONNECTION_MAX = 1_500;
const OPENED_AT_ONCE = 100;
const TICK_MS = 2;
// An answer is smaller; what is larger is put together.
const READ_BYTES = 65_536;

class Flood {
  private readonly job: FloodJob;
  private readonly request: Buffer;
  private readonly buffer = Buffer.allocUnsafe(READ_BYTES);
  private readonly idle = new Set<FloodConnection>();
  private readonly counts = new Map<number | 'lost', number>();
  private readonly goodMs: number[] = [];
  private readonly refusedMs: number[] = [];
  private opened = 0;
  private sent = 0;
  private unsent = 0;
  private underWay = 0;
  private withoutRetry = 0;

  constructor(job: FloodJob) {
    this.job = job;
    const { host } = new URL(job.address);
    const head = [
      `POST ${job.path} HTTP/1.1`,
      `host: ${host}`,
      `authorization: Bearer ${job.key}`,
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(job.body)}`,
    ];
    this.request = Buffer.from(`${head.join('\r\n')}\r\n\r\n${job.body}`);
  }

  async run(): Promise<FloodReport> {
    const { pace } = this.job;
    await this.connectAll('callers' in pace ? pace.callers : CONNECTION_MAX);
    const usedBefore = process.cpuUsage();
    const begun = performance.now();
    const end = begun + this.job.seconds * 1000;
    if ('callers' in pace) await this.keepCalling(pace.callers, end);
    else await this.keepPace(pace.perSecond, begun, end);
    const { user, system } = process.cpuUsage(usedBefore);
    const report = this.report((performance.now() - begun) / 1000, (user + system) / 1_000_000);
    while (this.underWay > 0) await tick();
    for (const connection of this.idle) connection.close();
    return { ...report, counts: Object.fromEntries(this.counts) };
  }

  private async connectAll(count: number): Promise<void> {
    while (this.opened < count) {
      const some = Array.from({ length: Math.min(OPENED_AT_ONCE, count - this.opened) }, () => this.open());
      await Promise.all(some.map((connection) => connection.connected));
      for (const connection of some) this.idle.add(connection);
    }
  }

  private keepCalling(callers: number, end: number): Promise<void> {
    return new Promise((resolve) => {
      let left = callers;
      const again = (): void => {
        if (performance.now() < end) this.call(again);
        else if (--left === 0) resolve();
      };
      for (let caller = 0; caller < callers; caller++) again();
    });
  }

  private async keepPace(perSecond: number, begun: number, end: number): Promise<void> {
    let due = 0;
    for (let now = begun; now < end; now = performance.now()) {
      const wanted = Math.floor(((now - begun) / 1000) * perSecond);
      for (; due < wanted; due++) {
        if (this.idle.size > 0 || this.opened < CONNECTION_MAX) this.call(nobody);
        else this.unsent++;
      }
      await tick();
    }
  }

  private call(then: () => void): void {
    // The one that has rested longest: a server closes what rests for too long.
    const [rested] = this.idle;
    if (rested !== undefined) this.idle.delete(rested);
    const connection = rested ?? this.open();
    connection.sentMs = performance.now();
    this.underWay++;
    this.sent++;
    connection.ask(this.request, (asked, answer) => {
      this.hear(asked, answer);
      then();
    });
  }

  private hear(connection: FloodConnection, answer: FloodAnswer | undefined): void {
    this.underWay--;
    const what = answer?.status ?? 'lost';
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
    if (answer !== undefined) {
      (answer.status === 200 ? this.goodMs : this.refusedMs).push(performance.now() - connection.sentMs);
      if ((answer.status === 429 || answer.status === 503) && !answer.saysWhen) this.withoutRetry++;
    }
    if (connection.isOpen) this.idle.add(connection);
    else this.opened--;
  }

  private open(): FloodConnection {
    this.opened++;
    return new FloodConnection(this.job.address, this.buffer);
  }

  private report(seconds: number, cpuSeconds: number): FloodReport {
    return {
      counts: {},
      unsent: this.unsent,
      goodPerSecond: this.goodMs.length / seconds,
      sentPerSecond: this.sent / seconds,
      cores: cpuSeconds / seconds,
      good: quantiles(this.goodMs),
      refused: quantiles(this.refusedMs),
      withoutRetry: this.withoutRetry,
    };
  }
}

function nobody(): void {}

function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, TICK_MS));
}

function quantiles(values: readonly number[]): { p50Ms: number; p99Ms: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

process.once('message', (job: FloodJob) => {
  new Flood(job).run().then(
    (report) => process.send?.(report, () => process.exit(0)),
    (error) => process.send?.({ error: String(error) }, () => process.exit(1)),
  );
});
process.once('disconnect', () => process.exit(0));
