import { describe, expect, it } from 'vitest';
import { type AuditRow, type Evidence, findFaults } from './execution-audit.ts';

const row = (id: string, more: Partial<AuditRow> = {}): AuditRow => ({
  id,
  program_id: 'p',
  engine: 'mock',
  status: 'completed',
  outputs: { answer: 'yes' },
  reason: null,
  attempts: 1,
  worker_losses: 0,
  ...more,
});

/** Two completed executions, one cancelled, and everything in order. */
const sound = (): Evidence => ({
  told: [
    { id: 'a', outputs: { answer: 'yes' }, requestId: 'r1' },
    { id: 'a', outputs: { answer: 'yes' }, requestId: 'r1' },
    { id: 'b', requestId: 'r2' },
    { id: 'b', end: 'completed' },
    { id: 'c' },
    { id: 'c', isUnwanted: true },
  ],
  rows: [row('a'), row('b'), row('c', { status: 'cancelled', outputs: null, reason: 'CANCELLED' })],
  ends: [
    { execution_id: 'a', status: 'completed' },
    { execution_id: 'b', status: 'completed' },
    { execution_id: 'c', status: 'cancelled' },
  ],
  counters: [{ program_id: 'p', completed: 2, failed: 0, cancelled: 1 }],
});

const swap = (rows: readonly AuditRow[], changed: AuditRow): AuditRow[] =>
  rows.map((each) => (each.id === changed.id ? changed : each));

describe('the audit of executions', () => {
  it('finds nothing where everything agrees', () => {
    expect(findFaults(sound())).toEqual([]);
  });

  it.each<[string, (evidence: Evidence) => Partial<Evidence>, string]>([
    [
      'an execution that ended twice',
      ({ ends }) => ({ ends: [...ends, { execution_id: 'b', status: 'failed' }] }),
      'b ended 2 times: completed, failed',
    ],
    [
      'an acknowledged execution that is lost',
      ({ rows, ends }) => ({
        rows: rows.filter(({ id }) => id !== 'c'),
        ends: ends.filter(({ execution_id }) => execution_id !== 'c'),
        counters: [{ program_id: 'p', completed: 2, failed: 0, cancelled: 0 }],
      }),
      'c was acknowledged and is lost',
    ],
    [
      'a counter that is off by one',
      () => ({ counters: [{ program_id: 'p', completed: 3, failed: 0, cancelled: 1 }] }),
      'program p counts 3 completed, and 2 stand',
    ],
    [
      'a program without counters',
      ({ rows, ends }) => ({
        rows: [...rows, row('d', { program_id: 'q' })],
        ends: [...ends, { execution_id: 'd', status: 'completed' }],
      }),
      'program q counts 0 completed, and 1 stand',
    ],
    [
      'an execution that stays open',
      ({ rows, ends }) => ({
        rows: swap(rows, row('c', { status: 'running' })),
        ends: ends.filter(({ execution_id }) => execution_id !== 'c'),
        counters: [{ program_id: 'p', completed: 2, failed: 0, cancelled: 0 }],
      }),
      'c is still running',
    ],
    [
      'an end that nobody logged',
      ({ ends }) => ({ ends: ends.filter(({ execution_id }) => execution_id !== 'a') }),
      'a is completed and no end of it was logged',
    ],
    [
      'other outputs than the answer had',
      ({ rows }) => ({ rows: swap(rows, row('a', { outputs: { answer: 'no' } })) }),
      'a was answered with other outputs than it keeps',
    ],
    [
      'an end that changed after it was told',
      ({ told }) => ({ told: [...told, { id: 'c', end: 'completed', isUnwanted: true }] }),
      'c was told as completed and is cancelled',
    ],
    [
      'one request that made two executions',
      ({ told }) => ({ told: [...told, { id: 'b', requestId: 'r1' }] }),
      'request r1 made 2 executions',
    ],
    [
      'an execution that was cancelled by nobody',
      ({ told }) => ({ told: told.map((each) => ({ ...each, isUnwanted: false })) }),
      'c was cancelled by nobody',
    ],
    [
      'an accepted execution that failed although it lost its process twice only',
      ({ rows, ends }) => ({
        rows: swap(rows, row('b', { status: 'failed', reason: 'WORKER_LOST', worker_losses: 2 })),
        ends: ends.map((end) => (end.execution_id === 'b' ? { ...end, status: 'failed' } : end)),
        told: [{ id: 'b' }],
        counters: [{ program_id: 'p', completed: 1, failed: 1, cancelled: 1 }],
      }),
      'b was accepted and failed with WORKER_LOST',
    ],
  ])('finds %s, and that alone', (_what, doctor, fault) => {
    const evidence = sound();
    expect(findFaults({ ...evidence, ...doctor(evidence) })).toEqual([fault]);
  });
});
