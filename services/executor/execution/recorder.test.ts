import { systemClock } from '@signet/kit/clock.ts';
import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { byIndexAlways, type Database, openDatabase } from '../db/pool.ts';
import type { EndRow, StartRow } from './execution.ts';
import { createLeaseStore } from './lease.postgres.ts';
import { type Batch, createRecorderStore, type RecorderStore } from './recorder.postgres.ts';
import { Recorder } from './recorder.ts';

let testDatabase: TestDatabase;
let database: Database;
let store: RecorderStore;
let recorder: Recorder;
const log = createLogger('executor', 'silent');
const owner = newId();

beforeAll(async () => {
  testDatabase = await createTestDatabase(['executor']);
  database = openDatabase({ log }, testDatabase.url, { connectionMax: 3, settings: byIndexAlways });
  store = createRecorderStore(database, owner);
  recorder = new Recorder({ store, clock: systemClock, log });
});

afterAll(async () => {
  await database?.close();
  await testDatabase?.drop();
});

const startOf = (more: Partial<StartRow> = {}): StartRow => ({
  id: newId(),
  programId: '01900000-0000-7000-8000-00000000000a',
  slug: 'qa',
  version: 1,
  module: 'predict',
  engine: 'mock',
  detached: false,
  inputsJson: '{"big": 9007199254740993, "text": "a \\"quoted\\" \\\\ line,{}"}',
  optionsJson: null,
  labelsJson: null,
  metadataJson: '{"adapter_type":"mock","options":{}}',
  traceId: '',
  traceparent: '',
  keyId: '',
  retriedFrom: null,
  moduleId: null,
  moduleName: null,
  ...more,
});

const endOf = (more: Partial<EndRow> = {}): EndRow => ({
  status: 'completed',
  outputsJson: '{"a": 1.50}',
  errorJson: null,
  durationMs: 1.5,
  metricsJson: '{}',
  traceJson: '[]',
  attempts: 1,
  workerLosses: 0,
  lastSequence: 3,
  ...more,
});

type Seen = { status: string; inputs: string; outputs: string | null; ends: number };

async function look(id: string): Promise<Seen> {
  const [row] = await database.query<Seen>(
    '',
    `select status, inputs::text, outputs::text, (select count(*)::int from executor.execution_ends x where x.execution_id = e.id) as ends
     from executor.executions e where id = $1`,
    [id],
  );
  return row!;
}

describe('recorder', () => {
  it('EXE-01 keeps inputs and outputs digit for digit, begun and ended in one row', async () => {
    const start = startOf();
    await recorder.begin(start).finish(endOf());
    expect(await look(start.id)).toEqual({
      status: 'completed',
      inputs: start.inputsJson,
      outputs: '{"a": 1.50}',
      ends: 1,
    });
  });

  it('EXE-05 shows an execution as running before its end', async () => {
    const record = recorder.begin(startOf());
    await record.stored();
    expect((await look(record.id)).status).toBe('running');
    await record.finish(endOf({ status: 'failed', outputsJson: null, errorJson: '{"message":"no"}' }));
    expect(await look(record.id)).toMatchObject({ status: 'failed', ends: 1 });
  });

  it('writes the end after the start when the end comes while the start is on its way', async () => {
    const record = recorder.begin(startOf());
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    await record.finish(endOf());
    expect(await look(record.id)).toMatchObject({ status: 'completed', ends: 1 });
  });

  it('EXE-06 refuses a second end, by the record and by the database', async () => {
    const record = recorder.begin(startOf());
    await record.finish(endOf());
    expect(() => record.finish(endOf({ status: 'failed' }))).toThrow('ends twice');
    const second = recorder.adopt(record.id, 1);
    await expect(second.finish(endOf({ status: 'failed' }))).rejects.toMatchObject({ reason: 'WORKER_LOST' });
    await expect(
      database.queryRaw('', `update executor.executions set status = 'failed' where id = $1`, [record.id]),
    ).rejects.toThrow('has ended and does not change');
    expect(await look(record.id)).toMatchObject({ status: 'completed', ends: 1 });
  });

  it('QUA-05 refuses the end of an owner whose lease went to another', async () => {
    const first = recorder.begin(startOf({ detached: true }));
    await first.stored();
    const leases = createLeaseStore(database, owner);
    const claim = (await leases.claim(10)).find(({ id }) => id === first.id)!;
    const stale = recorder.adopt(first.id, claim.token);
    await database.query('', `update executor.executions set lease_until = now() - interval '1 s' where id = $1`, [
      first.id,
    ]);
    await leases.reap();
    const again = (await leases.claim(10)).find(({ id }) => id === first.id)!;
    expect(again).toMatchObject({ token: claim.token + 1, workerLosses: 1, attempts: 2 });
    await expect(stale.finish(endOf())).rejects.toMatchObject({ reason: 'WORKER_LOST' });
    await recorder.adopt(first.id, again.token).finish(endOf({ attempts: 2, workerLosses: 1 }));
    expect(await look(first.id)).toMatchObject({ status: 'completed', ends: 1 });
  });

  it('C-6 counts each end once, in the transaction of the end', async () => {
    const programId = newId();
    const many = Array.from({ length: 150 }, (_, n) => ({
      record: recorder.begin(startOf({ programId })),
      end: endOf(n % 3 === 0 ? { status: 'failed', outputsJson: null } : {}),
    }));
    await Promise.all(many.map(({ record, end }) => record.finish(end)));
    const [stats] = await database.query(
      '',
      'select execution_count, failed_count from executor.program_stats where program_id = $1',
      [programId],
    );
    expect(stats).toEqual({ execution_count: '100', failed_count: '50' });
  });

  it('writes a patient row by itself when nothing else comes', async () => {
    const record = recorder.begin(startOf(), true);
    const seen = await eventually(async () => {
      const row = await look(record.id);
      expect(row).toBeDefined();
      return row;
    });
    expect(seen).toMatchObject({ status: 'running', ends: 0 });
    await record.finish(endOf());
    expect(await look(record.id)).toMatchObject({ status: 'completed', ends: 1 });
  });

  it('writes patient rows with what somebody waits for, and one that has ended meanwhile in one', async () => {
    const batches: Batch[] = [];
    const flush = (batch: Batch) => {
      batches.push(batch);
      return store.flush(batch);
    };
    const own = new Recorder({ store: { ...store, flush }, clock: systemClock, log });
    const [patient, short] = [own.begin(startOf(), true), own.begin(startOf(), true)];
    await short.finish(endOf());
    expect(batches).toHaveLength(1);
    expect(batches[0]!.rows.map(({ start, end }) => [start.id, end?.status])).toEqual([
      [patient.id, undefined],
      [short.id, 'completed'],
    ]);
    const third = own.begin(startOf(), true);
    await third.stored();
    await Promise.all([patient.finish(endOf()), third.finish(endOf())]);
    await own.drain();
    expect((await Promise.all([patient, short, third].map(({ id }) => look(id)))).map(({ ends }) => ends)).toEqual([
      1, 1, 1,
    ]);
  });

  it('drains patient rows', async () => {
    const own = new Recorder({ store, clock: systemClock, log });
    const record = own.begin(startOf(), true);
    await own.drain();
    expect(await look(record.id)).toMatchObject({ status: 'running', ends: 0 });
  });

  it('keeps patient rows through a failure of the connection', async () => {
    let losses = 0;
    const own = new Recorder({ store: losingAnswers(() => losses++ === 0), clock: systemClock, log });
    const record = own.begin(startOf(), true);
    await eventually(() => expect(losses).toBeGreaterThan(0));
    await record.stored();
    await record.finish(endOf());
    expect(await look(record.id)).toMatchObject({ status: 'completed', ends: 1 });
  });

  it('lets one bad row fail alone', async () => {
    const good = recorder.begin(startOf());
    const bad = recorder.begin(startOf({ inputsJson: '{not json' }));
    const outcomes = await Promise.allSettled([good.finish(endOf()), bad.finish(endOf())]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    await expect(recorder.begin(startOf()).finish(endOf())).resolves.toBeUndefined();
  });

  it('writes once although the connection is cut again and again', async () => {
    const other = openDatabase({ log }, testDatabase.url, { connectionMax: 1 });
    let isOver = false;
    let cuts = 0;
    const cut = async (): Promise<void> => {
      while (!isOver) {
        const found = await other.query(
          '',
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and query like '%put as%' and pid <> pg_backend_pid()`,
        );
        cuts += found.length;
        // Long enough that some writes come through, at times that nobody knows.
        await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 40));
      }
    };
    const cutting = cut();
    const programId = newId();
    const ids: string[] = [];
    try {
      for (let round = 0; round < 8; round++) {
        const records = Array.from({ length: 5 }, () => recorder.begin(startOf({ programId })));
        ids.push(...records.map(({ id }) => id));
        await Promise.all(records.map((record) => record.finish(endOf())));
        await eventually(() => expect(cuts).toBeGreaterThan(round));
      }
    } finally {
      isOver = true;
      await cutting;
      await other.close();
    }
    const rows = await eventually(() => Promise.all(ids.map(look)));
    expect(rows.every(({ status, ends }) => status === 'completed' && ends === 1)).toBe(true);
    const [stats] = await database.query(
      '',
      'select execution_count from executor.program_stats where program_id = $1',
      [programId],
    );
    expect(stats).toEqual({ execution_count: '40' });
  });

  it('writes the end by itself when the start was committed and only its answer got lost', async () => {
    const start = startOf();
    let losses = 0;
    const own = new Recorder({ store: losingAnswers(() => losses++ === 0), clock: systemClock, log });
    const record = own.begin(start);
    await eventually(() => expect(losses).toBe(1));
    await record.finish(endOf());
    expect(await look(start.id)).toMatchObject({ status: 'completed', outputs: '{"a": 1.50}', ends: 1 });
  });

  it('knows a detached row for written although another claimed it before the answer came', async () => {
    const start = startOf({ detached: true });
    let losses = 0;
    const own = new Recorder({ store: losingAnswers(() => losses++ === 0), clock: systemClock, log });
    const record = own.begin(start);
    await eventually(() => expect(losses).toBe(1));
    const claims = await createLeaseStore(database, owner).claim(10);
    expect(claims.map(({ id }) => id)).toContain(start.id);
    await expect(record.stored()).resolves.toBeUndefined();
  });

  it('keeps what has arrived when the look at what is in doubt fails', async () => {
    const taken = startOf();
    await recorder.begin(taken).finish(endOf());
    const inspect = () => Promise.reject(new Error('the look failed'));
    const own = new Recorder({ store: { ...store, inspect }, clock: systemClock, log });
    const arrived = own.begin(startOf());
    const doubtful = own.begin(startOf({ id: taken.id }));
    await arrived.stored();
    await expect(doubtful.stored()).rejects.toThrow('the look failed');
    await own.drain();
    await arrived.finish(endOf());
    expect(await look(arrived.id)).toMatchObject({ status: 'completed', ends: 1 });
  });

  it('never scans the table of executions, not even when it was empty at first', async () => {
    const fresh = await createTestDatabase(['executor']);
    const pool = openDatabase({ log }, fresh.url, { connectionMax: 1, settings: byIndexAlways });
    const own = new Recorder({ store: createRecorderStore(pool, owner), clock: systemClock, log });
    const records = Array.from({ length: 20 }, () => own.begin(startOf()));
    await Promise.all(records.map((record) => record.stored()));
    await Promise.all(records.map((record) => record.finish(endOf())));
    await pool.close();
    const reader = openDatabase({ log }, fresh.url, { connectionMax: 1 });
    await eventually(async () => {
      const [row] = await reader.query(
        '',
        `select seq_scan::int as scans, n_tup_upd::int as updates from pg_stat_user_tables where relname = 'executions'`,
      );
      expect(row).toEqual({ scans: 0, updates: 20 });
    });
    await reader.close();
    await fresh.drop();
  });
});

const connectionLost = (): Error => Object.assign(new Error('the answer got lost'), { code: 'ECONNRESET' });

/** The store, but answers get lost on the way although the work is done. */
function losingAnswers(isLost: () => boolean): RecorderStore {
  return {
    ...store,
    async flush(batch) {
      const written = await store.flush(batch);
      if (isLost()) throw connectionLost();
      return written;
    },
  };
}
