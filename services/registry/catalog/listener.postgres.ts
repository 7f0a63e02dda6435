import { AppError } from '@signet/kit/error/app-error.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import pg from 'pg';
import { sqlCode } from '../db/sql-error.ts';

/** What the listener needs. */
export type ListenerDeps = {
  readonly databaseUrl: string;
  readonly channel: string;
  readonly log: Logger;
  /** Hears whether the database answers, whenever that changes. */
  readonly onState: (connected: boolean) => void;
};

const pingEveryMs = 5000;
const pingTimeoutMs = 3000;
const backoffMinMs = 100;
const backoffMaxMs = 2000;

/**
 * Wakes those who wait for changes: one dedicated connection for all of them, opened again whenever it breaks. A wake says "look", never
 * "what": it comes with each notification, after each reconnection and every 5 s, so a notification that was lost costs time, not truth.
 */
export class CatalogListener {
  private readonly deps: ListenerDeps;
  private readonly waiters = new Set<() => void>();
  private client: pg.Client | undefined;
  private timer: NodeJS.Timeout | undefined;
  private backoffMs = backoffMinMs;
  private isClosed = false;
  private wakes = 0;

  constructor(deps: ListenerDeps) {
    this.deps = deps;
  }

  /** How often it has woken: to be read before looking, for `waitBeyond` after having found nothing. */
  get tick(): number {
    return this.wakes;
  }

  /** Connects in the background and stays at it. */
  start(): void {
    void this.connect();
  }

  /** Resolves at the first wake after `tick`, or when the signal is aborted; SHUTTING_DOWN once the listener is closed. */
  async waitBeyond(tick: number, signal: AbortSignal): Promise<void> {
    if (this.isClosed) throw shuttingDown();
    if (this.wakes > tick || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.waiters.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.waiters.add(done);
      signal.addEventListener('abort', done);
    });
    if (this.isClosed) throw shuttingDown();
  }

  /** Ends all waits and the connection. */
  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.wake();
    await this.client?.end().catch(() => {});
  }

  private wake(): void {
    this.wakes++;
    for (const waiter of [...this.waiters]) waiter();
  }

  private async connect(): Promise<void> {
    if (this.isClosed) return;
    const { databaseUrl, channel, log } = this.deps;
    const client = new pg.Client({
      connectionString: databaseUrl,
      application_name: 'signet-registry-listen',
      connectionTimeoutMillis: 5000,
      query_timeout: pingTimeoutMs,
      keepAlive: true,
    });
    this.client = client;
    let isLost = false;
    const lose = (error?: unknown): void => {
      if (isLost) return;
      isLost = true;
      client.removeAllListeners('notification');
      client.end().catch(() => {});
      this.lost(error);
    };
    client.on('error', lose);
    client.on('end', () => lose());
    client.on('notification', () => this.wake());
    try {
      await client.connect();
      await client.query(`listen ${channel}`);
    } catch (error) {
      return lose(error);
    }
    if (this.isClosed || isLost) return void client.end().catch(() => {});
    this.backoffMs = backoffMinMs;
    log.debug('listening for changes of the catalog');
    this.deps.onState(true);
    this.wake();
    this.ping(client, lose);
  }

  // A connection that died without a word is found out this way.
  private ping(client: pg.Client, lose: (error: unknown) => void): void {
    this.timer = setTimeout(() => {
      client.query('select 1').then(() => {
        if (this.isClosed || this.client !== client) return;
        this.wake();
        this.ping(client, lose);
      }, lose);
    }, pingEveryMs);
  }

  private lost(error: unknown): void {
    if (this.isClosed) return;
    clearTimeout(this.timer);
    this.deps.log.warn(
      { code: sqlCode(error), again_in_ms: this.backoffMs },
      'the database connection for changes broke',
    );
    this.deps.onState(false);
    this.timer = setTimeout(() => void this.connect(), this.backoffMs);
    this.backoffMs = Math.min(this.backoffMs * 2, backoffMaxMs);
  }
}

function shuttingDown(): AppError {
  return new AppError('SHUTTING_DOWN', 'The registry is shutting down', { retryAfterMs: 1000 });
}
