// A flood in a process of its own, so that neither side's event loop waits for the other's: takes one job, reports, and ends.
// It writes and reads HTTP on plain sockets: a client of more comfort would take more of the machine than what is flooded.
import { FloodConnection } from './flood-connection.ts';
import type { FloodJob, FloodReport } from './flood-job.ts';

const CONNECTION_MAX = 1_500;
const OPENED_AT_ONCE = 100;
const TICK_MS = 5;

class Flood {
  private readonly job: FloodJob;
  private readonly request: Buffer;
  private readonly idle: FloodConnection[] = [];
  private readonly counts = new Map<string, number>();
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
    const begun = performance.now();
    const end = begun + this.job.seconds * 1000;
    if ('callers' in pace) await this.keepCalling(pace.callers, end);
    else await this.keepPace(pace.perSecond, begun, end);
    const report = this.report((performance.now() - begun) / 1000);
    while (this.underWay > 0) await tick();
    for (const connection of this.idle) connection.close();
    return { ...report, counts: Object.fromEntries(this.counts) };
  }

  private async connectAll(count: number): Promise<void> {
    while (this.opened < count) {
      const some = Array.from({ length: Math.min(OPENED_AT_ONCE, count - this.opened) }, () => this.open());
      await Promise.all(some.map((connection) => connection.connected));
      this.idle.push(...some);
    }
  }

  private async keepCalling(callers: number, end: number): Promise<void> {
    const caller = async (): Promise<void> => {
      while (performance.now() < end) await this.call();
    };
    await Promise.all(Array.from({ length: callers }, caller));
  }

  private async keepPace(perSecond: number, begun: number, end: number): Promise<void> {
    let due = 0;
    for (let now = begun; now < end; now = performance.now()) {
      const wanted = Math.floor(((now - begun) / 1000) * perSecond);
      for (; due < wanted; due++) {
        if (this.idle.length > 0 || this.opened < CONNECTION_MAX) void this.call();
        else this.unsent++;
      }
      await tick();
    }
  }

  private async call(): Promise<void> {
    // The one that has rested longest: a server closes what rests for too long.
    const connection = this.idle.shift() ?? this.open();
    const begun = performance.now();
    this.underWay++;
    this.sent++;
    const answer = await connection.ask(this.request);
    this.underWay--;
    const what = answer === undefined ? 'lost' : String(answer.status);
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
    if (answer !== undefined) {
      (answer.status === 200 ? this.goodMs : this.refusedMs).push(performance.now() - begun);
      if ((answer.status === 429 || answer.status === 503) && !answer.saysWhen) this.withoutRetry++;
    }
    if (connection.isOpen) this.idle.push(connection);
    else this.opened--;
  }

  private open(): FloodConnection {
    this.opened++;
    return new FloodConnection(this.job.address);
  }

  private report(seconds: number): FloodReport {
    return {
      counts: {},
      unsent: this.unsent,
      goodPerSecond: this.goodMs.length / seconds,
      sentPerSecond: this.sent / seconds,
      good: quantiles(this.goodMs),
      refused: quantiles(this.refusedMs),
      withoutRetry: this.withoutRetry,
    };
  }
}

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
