import type { Pool, PoolClient } from 'pg';

const graceMs = 500;

/**
 * Gives a connection that broke while it was in use back to its pool. The query builder below the ORM does not when BEGIN, COMMIT or
 * ROLLBACK fails: its connection would stay taken for good, and after ten of them the pool would be empty. Whoever does give it back gets
 * half a second for it.
 */
export function releaseLostConnections(pool: Pool): void {
  const watched = new Map<PoolClient, () => void>();
  pool.on('acquire', (client: PoolClient) => {
    const lost = (): void => {
      setTimeout(() => {
        if (watched.get(client) !== lost) return;
        client.release(true);
        // Should its holder come to it after all, there is nothing left to do.
        client.release = () => {};
      }, graceMs);
    };
    watched.set(client, lost);
    client.once('end', lost);
  });
  pool.on('release', (_error, client: PoolClient) => {
    const lost = watched.get(client);
    if (lost !== undefined) client.removeListener('end', lost);
    watched.delete(client);
  });
}
