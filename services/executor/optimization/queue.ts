import type { Logger } from '@signet/kit/log/logger.ts';
import { PgBoss } from 'pg-boss';
import { queueName, queueSchema } from '../db/install-job-queue.ts';

const pollS = 2;
const stopMs = 5_000;

/** Delivers jobs to the executors. It only carries ids: what a job is stands in our own table. */
export type JobQueue = {
  /** Has a job delivered, to any executor; a job that waits already is not doubled. */
  send(jobId: string): Promise<void>;
  /** Takes jobs, `concurrency` at a time; what the work throws has the job delivered again, twice at most. */
  take(concurrency: number, work: (jobId: string) => Promise<void>): Promise<void>;
  /** Takes no more; does not wait for what is under way. */
  stop(): Promise<void>;
};

/** Opens the queue, which migrating has made. */
export async function openJobQueue(deps: { readonly log: Logger }, databaseUrl: string): Promise<JobQueue> {
  const boss = new PgBoss({
    ...{ connectionString: databaseUrl, schema: queueSchema, application_name: 'signet-executor-jobs', max: 3 },
    // Nothing here is scheduled by the clock; what maintenance there is can wait.
    ...{
      schedule: false,
      monitorIntervalSeconds: 60,
      maintenanceIntervalSeconds: 3_600,
      queueCacheIntervalSeconds: 60,
    },
    ...{ createSchema: false, migrate: false },
  });
  boss.on('error', (error: Error) => deps.log.debug({ err: error }, 'the queue of jobs had a failure'));
  await boss.start();
  let workerId: string | undefined;
  return {
    async send(jobId) {
      await boss.send(queueName, { jobId }, { singletonKey: jobId });
      if (workerId !== undefined) boss.notifyWorker(workerId);
    },
    async take(concurrency, work) {
      workerId = await boss.work<{ jobId: string }>(
        queueName,
        { pollingIntervalSeconds: pollS, batchSize: 1, localConcurrency: concurrency },
        async ([job]) => {
          if (job !== undefined) await work(job.data.jobId);
        },
      );
    },
    async stop() {
      await boss.stop({ graceful: true, timeout: stopMs, close: true });
    },
  };
}
