import { systemClock } from '@signet/kit/clock.ts';
import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { byIndexAlways, type Database, openDatabase } from '../db/pool.ts';
import type { EndRow, StartRow } from './execution.ts';
import { createLmCallStore } from './lm-call.postgres.ts';
import type { LmCallRow } from './lm-calls.ts';
import { type Batch, createRecorderStore, type RecorderStore } from './recorder.postgres.ts';
import { Recorder } from './recorder.ts';

let testDatabase: TestDatabase;
let database: Database;
let store: RecorderStore;
const log = createLogger('executor', 'silent');
const owner = newId();

beforeAll(async () => {
  testDatabase = await createTestDatabase(['executor']);
  database = openDatabase({ log }, testDatabase.url, { connectionMax: 3, settings: byIndexAlways });
  store = createRecorderStore(database, owner);
});

afterAll(async () => {
  await database?.close();
  await testDatabase?.drop();
});

const startOf = (): StartRow => ({
  id: newId(),
  programId: '01900000-0000-7000-8000-00000000000a',
  ...{ slug: 'qa', version: 1, module: 'predict', engine: 'native', detached: true, isOwned: true },
  ...{ inputsJson: '{}', optionsJson: null, labelsJson: null, metadataJson: '{}' },
  ...{ traceId: '', traceparent: '', keyId: '', retriedFrom: null, moduleId: null, moduleName: null },
});

const end: EndRow = {
  ...{ status: 'completed', outputsJson: '{"a": 1}', errorJson: null, durationMs: 1.5, metricsJson: '{}' },
  ...{ traceJson: '[]', attempts: 1, workerLosses: 0, lastSequence: 3 },
};

const callOf = (executionId: string, seq: number, more: Partial<LmCallRow> = {}): LmCallRow => ({
  ...{ executionId, seq, run: 1, slug: 'main', model: 'scripted', requestHash: 'ab'.repeat(32), finishReason: 'stop' },
  ...{ promptTokens: 3, completionTokens: 5, cost: undefined, durationMs: 50, attempts: 1, reason: '' },
  reply: `answer ${seq}`,
  ...more,
});

const keptOf = async (id: string): Promise<string[]> =>
  (await createLmCallStore(database).read(id)).answers.map(({ completion }) => completion.text);

type Flush = RecorderStore['flush'];

function recorderOf(flush: Flush): Recorder {
  return new Recorder({ store: { ...store, flush }, clock: systemClock, log });
}

describe('calls of language models', () => {
  it('go along with the first row of their execution, and before its end', async () => {
    const batches: Batch[] = [];
    const own = recorderOf((batch) => {
      batches.push(batch);
      return store.flush(batch);
    });
    const record = own.begin(startOf(), true);
    await record.keep(callOf(record.id, 1)).kept;
    expect(batches.map(({ rows, calls }) => [rows.length, calls.length])).toEqual([[1, 1]]);
    await Promise.all([record.keep(callOf(record.id, 2)).kept, record.finish(end)]);
    expect(await keptOf(record.id)).toEqual(['answer 1', 'answer 2']);
    await own.drain();
  });

  it('are on their way before the turn of the loop ends', async () => {
    let sent = 0;
    const own = recorderOf((batch) => {
      sent += batch.calls.length;
      return store.flush(batch);
    });
    const record = own.begin(startOf());
    await record.stored();
    await own.drain();
    const { kept } = record.keep(callOf(record.id, 1));
    expect(sent).toBe(1);
    await kept;
    await record.finish(end);
  });

  it('are refused once the lease is another’s', async () => {
    const own = recorderOf(store.flush);
    const record = own.begin(startOf());
    await record.stored();
    await database.query('', 'update executor.executions set lease_token = lease_token + 1 where id = $1', [record.id]);
    await record.keep(callOf(record.id, 1)).kept;
    await expect(record.finish(end)).rejects.toMatchObject({ reason: 'WORKER_LOST' });
    expect(await keptOf(record.id)).toEqual([]);
  });

  it.each([
    ['a call', 1],
    ['a first row with a call', 0],
  ])('are kept once where the answer to the write of %s got lost', async (_what, losesAt) => {
    let writes = 0;
    const own = recorderOf(async (batch) => {
      const written = await store.flush(batch);
      if (writes++ === losesAt) throw Object.assign(new Error('the answer got lost'), { code: 'ECONNRESET' });
      return written;
    });
    const record = own.begin(startOf(), true);
    if (losesAt === 1) await record.stored();
    await record.keep(callOf(record.id, 1)).kept;
    await record.finish(end);
    expect(await keptOf(record.id)).toEqual(['answer 1']);
    const [row] = await database.query('', 'select status from executor.executions where id = $1', [record.id]);
    expect(row).toEqual({ status: 'completed' });
  });

  it('end their execution although an earlier write had its first row only', async () => {
    let writes = 0;
    const own = recorderOf(async (batch) => {
      const written = await store.flush(batch);
      if (writes++ === 0) throw Object.assign(new Error('the answer got lost'), { code: 'ECONNRESET' });
      return written;
    });
    const record = own.begin(startOf());
    const stored = record.stored();
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    await Promise.all([stored, record.keep(callOf(record.id, 1)).kept, record.finish(end)]);
    expect(await keptOf(record.id)).toEqual(['answer 1']);
    const [row] = await database.query('', 'select status from executor.executions where id = $1', [record.id]);
    expect(row).toEqual({ status: 'completed' });
  });

  it('that cannot be written do not take their execution with them', async () => {
    const own = recorderOf(store.flush);
    const record = own.begin(startOf(), true);
    await record.keep(callOf(record.id, 1, { requestHash: 'no digits' })).kept;
    await record.finish(end);
    const [row] = await database.query('', 'select status from executor.executions where id = $1', [record.id]);
    expect(row).toEqual({ status: 'completed' });
  });
});
