import type { Logger } from '@signet/kit/log/logger.ts';
import pg from 'pg';
import { channel } from './recorder.postgres.ts';

/** What executors tell each other: there is work, somebody wants an execution to end, an execution has ended, a batch stands elsewhere. */
export type Notice = { readonly kind: 'work' | 'cancel' | 'end' | 'batch'; readonly id: string };

/** Hears what other executors tell; only wakes: whatever is missed while the connection is away is found by looking. */
export type Listener = { close(): Promise<void> };

const retryMs = 500;

/** Listens on a connection of its own, and again whenever that breaks. */
export function startListener(deps: { log: Logger }, databaseUrl: string, hear: (notice: Notice) => void): Listener {
  let client: pg.Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  const connect = async (): Promise<void> => {
    const next = new pg.Client({
      connectionString: databaseUrl,
      application_name: 'signet-executor-listener',
      connectionTimeoutMillis: 3000,
      keepAlive: true,
    });
    let isOver = false;
    const again = (): void => {
      if (isOver) return;
      isOver = true;
      next.end().catch(() => {});
      if (!isClosed) timer = setTimeout(() => void connect(), retryMs);
    };
    next.on('error', (error) => {
      deps.log.debug({ code: (error as NodeJS.ErrnoException).code }, 'the listener lost its connection');
      again();
    });
    next.on('end', again);
    next.on('notification', ({ payload = '' }) => {
      const [kind, id = ''] = payload.split(' ');
      if (kind === 'work' || kind === 'cancel' || kind === 'end' || kind === 'batch') hear({ kind, id });
    });
    client = next;
    try {
      await next.connect();
      await next.query(`listen ${channel}`);
      // What was told before we listened.
      hear({ kind: 'work', id: '' });
    } catch {
      again();
    }
  };
  void connect();
  return {
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await client?.end().catch(() => {});
    },
  };
}
