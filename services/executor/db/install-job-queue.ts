import { PgBoss } from 'pg-boss';

/** The queue's name, as the founding documents have it. */
export const queueName = 'optimization';

/** Where the queue keeps what it delivers. */
export const queueSchema = 'pgboss';

// Each job is tried three times; whoever loses its process does not use one up.
const retryLimit = 2;
const retryDelayS = 2;
const heartbeatS = 30;
const expireS = 24 * 3_600 - 60;

/** Makes or brings up to date what the queue stands on: the schema `pgboss`, which is used as it is if it is there already, and the queue. */
export async function installJobQueue(databaseUrl: string, isSchemaThere: boolean): Promise<void> {
  const boss = new PgBoss({
    ...{ connectionString: databaseUrl, schema: queueSchema, application_name: 'signet-migrate', max: 1 },
    ...{ schedule: false, supervise: false, createSchema: !isSchemaThere, migrate: true },
  });
  boss.on('error', () => {});
  await boss.start();
  try {
    if ((await boss.getQueue(queueName)) !== null) return;
    await boss.createQueue(queueName, {
      ...{ policy: 'short', retryLimit, retryDelay: retryDelayS, retryBackoff: true },
      ...{ expireInSeconds: expireS, heartbeatSeconds: heartbeatS, deleteAfterSeconds: 7 * 86_400 },
    });
  } finally {
    await boss.stop({ graceful: false, close: true });
  }
}
