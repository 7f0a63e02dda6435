import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '@signet/kit/clock.ts';
import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { byIndexAlways, type Database, openDatabase } from '../db/pool.ts';
import type { EndRow, StartRow, StepRow } from './execution.ts';
import { createRecorderStore, type RecorderStore } from './recorder.postgres.ts';
import { Recorder } from './recorder.ts';

let testDatabase: TestDatabase;
let database: Database;
let store: RecorderStore;
const log = createLogger('executor', 'silent');

beforeAll(async () => {
  testDatabase = await createTestDatabase(['executor']);
  database = openDatabase({ log }, testDatabase.url, { connectionMax: 3, settings: byIndexAlways });
  store = createRecorderStore(database, newId());
});
afterAll(async () => {
  await database?.close();
  await testDatabase?.drop();
});

const startOf = (): StartRow => ({
  ...{ id: newId(), programId: '01900000-0000-7000-8000-00000000000a', slug: 'qa', version: 1, module: 'predict' },
  ...{ engine: 'mock', detached: false, inputsJson: '{}', optionsJson: null, labelsJson: null },
  ...{ metadataJson: '{"adapter_type":"mock","options":{}}', traceId: '', traceparent: '', keyId: '' },
  ...{ retriedFrom: null, moduleId: null, moduleName: null },
});
const end: EndRow = {
  ...{ status: 'completed', outputsJson: '{}', errorJson: null, durationMs: 1, metricsJson: '{}', traceJson: '[]' },
  ...{ attempts: 1, workerLosses: 0, lastSequence: 3 },
};
const stepOf = (executionId: string, sequence: number, step = `step ${sequence}`): StepRow => ({
  ...{ executionId, sequence, step, status: 'started' },
});

const recorderOf = (more: Partial<RecorderStore> = {}) =>
  new Recorder({ store: { ...store, ...more }, clock: systemClock, log });
const kept = async (id: string): Promise<number[]> =>
  (
    await database.query<{ seq: number }>(
      '',
      'select seq::int from executor.execution_events where execution_id = $1 order by seq',
      [id],
    )
  ).map(({ seq }) => seq);

describe('steps', () => {
  it('stand as soon as the end of their execution is seen, however slowly they are written by themselves', async () => {
    const asked: number[] = [];
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const writeSteps = async (steps: readonly StepRow[]) => {
      asked.push(...steps.map(({ sequence }) => sequence));
      await released;
      await store.writeSteps(steps);
    };
    const own = recorderOf({ writeSteps });
    const record = own.begin(startOf());
    await record.stored();
    own.step(stepOf(record.id, 3));
    await eventually(async () => expect(asked).toEqual([3]));
    own.step(stepOf(record.id, 4));
    await record.finish(end);
    expect(await kept(record.id)).toEqual([3, 4]);
    release();
    await own.drain();
    expect(await kept(record.id)).toEqual([3, 4]);
  });

  it('go along with a row that begins and ends in one, and leave those of others alone', async () => {
    const own = recorderOf({ writeSteps: () => Promise.reject(new Error('went by themselves')) });
    const [one, other] = [own.begin(startOf(), true), own.begin(startOf(), true)];
    for (const sequence of [3, 4]) for (const { id } of [one, other]) own.step(stepOf(id, sequence));
    await Promise.all([one.finish(end), other.finish(end)]);
    expect([await kept(one.id), await kept(other.id)]).toEqual([
      [3, 4],
      [3, 4],
    ]);
  });

  it('that are told while their first row is on its way wait for it', async () => {
    const own = recorderOf({
      // As long as a commit takes on a slow disk: longer than a second write waits for the first one.
      flush: async (batch) => {
        await pause(50);
        return store.flush(batch);
      },
    });
    const record = own.begin(startOf());
    const stored = record.stored();
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    own.step(stepOf(record.id, 3));
    own.hurry('soon');
    await stored;
    await own.drain();
    expect(await kept(record.id)).toEqual([3]);
    await record.finish(end);
  });

  it('are kept once where the answer of their write got lost', async () => {
    let isLost = true;
    const own = recorderOf({
      flush: async (batch) => {
        const written = await store.flush(batch);
        if (batch.ends.length > 0 && isLost) {
          isLost = false;
          throw Object.assign(new Error('lost'), { code: 'ECONNRESET' });
        }
        return written;
      },
    });
    const record = own.begin(startOf());
    await record.stored();
    own.step(stepOf(record.id, 3));
    await record.finish(end);
    await own.drain();
    expect(isLost).toBe(false);
    expect(await kept(record.id)).toEqual([3]);
  });

  it('that cannot be kept do not take their execution with them, nor another', async () => {
    const own = recorderOf();
    const [bad, good] = [own.begin(startOf()), own.begin(startOf())];
    await Promise.all([bad.stored(), good.stored()]);
    own.step(stepOf(bad.id, 3, 'a\u0000b'));
    own.step(stepOf(good.id, 3));
    await Promise.all([bad.finish(end), good.finish(end)]);
    await own.drain();
    expect([await kept(bad.id), await kept(good.id)]).toEqual([[], [3]]);
  });
});
