import { systemClock } from '@signet/kit/clock.ts';
import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { findFaults, gatherEvidence } from '../../../test/support/execution-audit.ts';
import { byIndexAlways, type Database, openDatabase } from '../db/pool.ts';
import type { EndRow, StartRow } from './execution.ts';
import { createLeaseStore, type LeaseStore } from './lease.postgres.ts';
import { createRecorderStore } from './recorder.postgres.ts';
import { Recorder } from './recorder.ts';

const FENCE = ` and x.lease_token = e.token::int and x.status in ('pending', 'running')`;
const COUNT = 20;
const log = createLogger('executor', 'silent');

/** What the audit of the fault tests sees when two owners end the same executions: with the fence, and in a control without it. */
describe('two owners that end the same executions', () => {
  let testDatabase: TestDatabase;
  let database: Database;
  let leases: LeaseStore;

  beforeEach(async () => {
    testDatabase = await createTestDatabase(['executor']);
    database = openDatabase({ log }, testDatabase.url, { connectionMax: 4, settings: byIndexAlways });
    leases = createLeaseStore(database, newId());
  });
  afterEach(async () => {
    await database?.close();
    await testDatabase?.drop();
  });

  const recorderOn = (on: Database): Recorder =>
    new Recorder({ store: createRecorderStore(on, newId()), clock: systemClock, log });

  /** Executions that a first owner took and lost, a second one took and ended, and the first one ends at last. */
  const takeOver = async (recorder: Recorder): Promise<string[]> => {
    const rows = Array.from({ length: COUNT }, () => recorder.begin(startRow()));
    await Promise.all(rows.map((row) => row.stored()));
    const first = (await leases.claim(COUNT)).map(({ id, token }) => recorder.adopt(id, token));
    await database.query('', `update executor.executions set lease_until = now() - interval '1 s'`);
    await leases.reap();
    const second = (await leases.claim(COUNT)).map(({ id, token }) => recorder.adopt(id, token));
    expect([first.length, second.length]).toEqual([COUNT, COUNT]);
    await Promise.all(second.map((record) => record.finish(end('second'))));
    const late = await Promise.allSettled(first.map((record) => record.finish(end('first'))));
    return late.map(({ status }) => status);
  };

  const audit = async (): Promise<string[]> => {
    const rows = await database.query<{ id: string }>('', 'select id::text from executor.executions');
    return findFaults(
      await gatherEvidence(
        testDatabase.url,
        rows.map(({ id }) => ({ id, outputs: { by: 'second' } })),
      ),
    );
  };

  it('QUA-05 leave one end each: the late one is refused, and the audit finds nothing', async () => {
    expect(new Set(await takeOver(recorderOn(database)))).toEqual(new Set(['rejected']));
    expect(await audit()).toEqual([]);
  });

  it('leave two ends each in the control without the fence, and the audit says so', async () => {
    await database.query('', 'drop trigger executions_final on executor.executions');
    expect(new Set(await takeOver(recorderOn(withoutFence(database))))).toEqual(new Set(['fulfilled']));
    const faults = await audit();
    expect(faults.filter((fault) => fault.includes('ended 2 times'))).toHaveLength(COUNT);
    expect(faults.filter((fault) => fault.includes('other outputs'))).toHaveLength(COUNT);
    expect(faults.filter((fault) => /counts 40 completed, and 20 stand/.test(fault))).toHaveLength(1);
  });

  it('are kept apart by the database alone where only the writer’s fence is missing', async () => {
    expect(new Set(await takeOver(recorderOn(withoutFence(database))))).toEqual(new Set(['rejected']));
    expect(await audit()).toEqual([]);
  });
});

/** A database that is asked to write ends without looking at token and state. */
function withoutFence(database: Database): Database {
  return {
    ...database,
    queryRaw(name, text, values) {
      if (name.startsWith('record_') && text.includes('ended as (')) expect(text).toContain(FENCE);
      return database.queryRaw(`${name}_unfenced`, text.replace(FENCE, ''), values);
    },
  };
}

function startRow(): StartRow {
  return {
    id: newId(),
    programId: '01900000-0000-7000-8000-00000000000f',
    slug: 'qa',
    version: 1,
    module: 'predict',
    engine: 'mock',
    detached: true,
    inputsJson: '{}',
    optionsJson: null,
    labelsJson: null,
    metadataJson: '{}',
    traceId: '',
    traceparent: '',
    keyId: '',
    retriedFrom: null,
    moduleId: null,
    moduleName: null,
  };
}

function end(by: string): EndRow {
  return {
    status: 'completed',
    outputsJson: JSON.stringify({ by }),
    errorJson: null,
    durationMs: 1,
    metricsJson: '{}',
    traceJson: '[]',
    attempts: 1,
    workerLosses: 0,
    lastSequence: 3,
  };
}
