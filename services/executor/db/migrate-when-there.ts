import type { Logger } from '@signet/kit/log/logger.ts';
import { isConnectionLoss } from './database-error.ts';
import { migrate } from './migrate.ts';

const waitMs = 10_000;
const againMs = 250;

/** Brings the schema up to date, waiting up to 10 s for the database; throws one clear line if it does not come. */
export async function migrateWhenThere(deps: { readonly log: Logger }, databaseUrl: string): Promise<void> {
  const endMs = performance.now() + waitMs;
  for (;;) {
    try {
      const { executed } = await migrate(databaseUrl, 'up');
      if (executed.length > 0) deps.log.info({ executed }, 'migrated the schema executor');
      return;
    } catch (error) {
      if (!isConnectionLoss(rootOf(error))) throw error;
      if (performance.now() > endMs) {
        throw new Error(`the database at ${hostOf(databaseUrl)} does not answer`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, againMs));
    }
  }
}

/** The driver's own error: the mapper wraps it, sometimes twice. */
function rootOf(error: unknown): unknown {
  const inner = (error as { cause?: unknown; previous?: unknown } | undefined) ?? {};
  return inner.cause ?? inner.previous ?? error;
}

function hostOf(databaseUrl: string): string {
  return URL.canParse(databaseUrl) ? new URL(databaseUrl).host : 'DATABASE_URL';
}
