import { systemClock } from '@signet/kit/clock.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { type Database, openDatabase } from '../db/pool.ts';
import { startDatabaseProxy } from '../test-support/database-proxy.ts';
import { callerContext } from '../test-support/executor.ts';
import { runningJob } from '../test-support/running-job.ts';
import { JobLog } from './job-log.ts';
import { LiveJobs } from './live-jobs.ts';
import { createJobStore } from './store.postgres.ts';
import { type JobEvent, watchJob } from './watch-job.ts';

const log = createLogger('test', 'silent');
const trial = {
  ...{ step: 'copro', score: 0.5, examples: 1, isFull: true, isBest: true, note: '', predictors: [], stateJson: '{}' },
};
let made: TestDatabase;
let database: Database;
beforeAll(async () => {
  made = await createTestDatabase(['executor']);
  database = openDatabase({ log }, made.url, { connectionMax: 4 });
});
afterAll(async () => {
  await database?.close();
  await made?.drop();
});

async function newLog() {
  const job = await runningJob(database);
  const liveJobs = new LiveJobs();
  const said = new JobLog({ jobs: job.jobs, liveJobs, clock: systemClock }, job);
  return { ...job, liveJobs, said };
}

/** What somebody hears who comes once a job has ended, after a sequence. */
async function heardOf(id: string, afterSequence = 0): Promise<JobEvent[]> {
  const deps = { jobs: createJobStore(database, 'other'), liveJobs: new LiveJobs() };
  const events: JobEvent[] = [];
  for await (const event of watchJob(deps, { job: id, afterSequence }, callerContext() as never)) events.push(event);
  return events;
}

const textsOf = (events: readonly JobEvent[]): string[] =>
  events.flatMap((event) => (event.kind === 'log' ? [event.line.text] : []));

describe('what an optimizer says', () => {
  it('is told in order between states and candidates, each with a sequence of its own, from after any of them on', async () => {
    const { id, jobs, leaseToken, said } = await newLog();
    said.line('info', 'first');
    await eventually(async () => expect(await jobs.lines(id, 0)).toHaveLength(1));
    await jobs.putTrial(id, leaseToken, { ...trial, number: 1 });
    said.line('warning', 'second');
    said.progress({ phase: 'half', trial: 1, trials: 2, message: '' });
    await said.close();
    await jobs.end(id, leaseToken, { status: 'completed' });
    const events = await heardOf(id);
    expect(events.map(({ kind }) => kind)).toEqual(['log', 'trial', 'log', 'progress', 'job']);
    const sequences = events.map(({ sequence }) => sequence);
    expect(sequences).toEqual([...new Set(sequences)].toSorted((a, b) => a - b));
    for (const [at, sequence] of sequences.entries()) {
      expect(await heardOf(id, sequence)).toEqual(events.slice(at + 1));
    }
    expect(await heardOf(id, 1e9)).toEqual([]);
  });

  it('is kept up to its newest thousand lines, however fast they come', async () => {
    const { id, jobs, leaseToken, said } = await newLog();
    for (let turn = 0; turn < 3; turn++) {
      for (let n = 0; n < 900; n++) said.line('info', `${turn}/${n}`);
      await eventually(async () => expect((await jobs.lines(id, 0)).at(-1)?.text).toBe(`${turn}/899`));
    }
    for (let n = 0; n < 5_000; n++) said.line('info', `last/${n}`);
    await said.close();
    const kept = await jobs.lines(id, 0);
    expect(kept.map(({ text }) => text)).toEqual(Array.from({ length: 1_000 }, (_, n) => `last/${n + 4_000}`));
    await jobs.end(id, leaseToken, { status: 'completed' });
    expect(textsOf(await heardOf(id))).toHaveLength(1_000);
  });

  it('is written whatever it contains, and cut where it is long', async () => {
    const { id, jobs, said } = await newLog();
    const bad = ['\0', '\ud800', '"}]\'; drop table executor.executions; --', 'x'.repeat(1_000_000), ''];
    for (const text of bad) said.line(`info${text}`, text);
    said.progress({ phase: '\0\udfff', trial: 1, trials: 0, message: 'y'.repeat(100_000) });
    await said.close();
    const lines = await jobs.lines(id, 0);
    expect(lines.map(({ text }) => text)).toEqual(['\u2400', '\ufffd', bad[2], 'x'.repeat(2_000), '']);
    expect(Math.max(...lines.map(({ level }) => level.length))).toBe(20);
    expect((await jobs.get(id))!.progress).toMatchObject({ phase: '\u2400\ufffd', message: 'y'.repeat(2_000) });
  });

  it('is not written by who lost the job', async () => {
    const { id, jobs, leaseToken, said } = await newLog();
    await jobs.release(id, leaseToken, { isResuming: true, isSent: false });
    await jobs.claim(id);
    said.line('info', 'too late');
    said.progress({ phase: 'late', trial: 1, trials: 0, message: '' });
    await said.close();
    expect([await jobs.lines(id, 0), (await jobs.get(id))!.progress]).toEqual([[], undefined]);
  });

  it('waits for a database that is away', async () => {
    const { id, jobs, liveJobs, leaseToken } = await newLog();
    const proxy = await startDatabaseProxy(made.url);
    const far = openDatabase({ log }, proxy.url, { connectionMax: 1 });
    const tries: unknown[] = [];
    const store = createJobStore(far, 'tester');
    const say: typeof store.say = (...given) => {
      tries.push(given);
      return store.say(...given);
    };
    const said = new JobLog({ jobs: { say }, liveJobs, clock: systemClock }, { id, leaseToken });
    await proxy.cut();
    said.line('info', 'one');
    await eventually(() => expect(tries.length).toBeGreaterThan(1));
    said.line('info', 'two');
    said.progress({ phase: 'on', trial: 1, trials: 0, message: '' });
    expect(await jobs.lines(id, 0)).toEqual([]);
    await proxy.restore();
    await eventually(async () => expect((await jobs.lines(id, 0)).map(({ text }) => text)).toEqual(['one', 'two']));
    await eventually(async () => expect((await jobs.get(id))!.progress?.phase).toBe('on'));
    await said.close();
    await far.close();
    await proxy.close();
  });
});
