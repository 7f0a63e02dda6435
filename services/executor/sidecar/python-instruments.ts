import type { Meter } from '@opentelemetry/api';
import { WorkerState } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { type Lane, laneOf, lanes } from './lane.ts';
import type { PoolGauges } from './sidecar-pool.ts';

/** What is counted of runs on Python. */
export type PythonInstruments = {
  /** A run ended well after `durationMs`, the wait for a worker included. */
  ended(lane: Lane, durationMs: number): void;
  /** A run ended with a reason of the contract. */
  failed(reason: string, durationMs: number): void;
};

/** Makes the instruments of the Python engine; its pool is looked at when somebody reads them. */
export function createPythonInstruments(meter: Meter, gauges: () => PoolGauges): PythonInstruments {
  const count = meter.createCounter('signet.python.call.count', { description: 'Runs on Python that ended' });
  const errors = meter.createCounter('signet.python.error.count', { description: 'Runs on Python that failed' });
  const duration = meter.createHistogram('signet.python.call.duration', {
    unit: 'ms',
    description: 'How long runs on Python took, the wait for a worker included',
  });
  observePool(meter, gauges);
  const well = new Map(lanes.map((lane) => [lane, { lane, outcome: 'ok' }]));
  const ill = { outcome: 'error' };
  return {
    ended(lane, durationMs) {
      count.add(1, well.get(lane));
      duration.record(durationMs, well.get(lane));
    },
    failed(reason, durationMs) {
      count.add(1, ill);
      errors.add(1, { 'error.type': reason });
      duration.record(durationMs, ill);
    },
  };
}

function observePool(meter: Meter, gauges: () => PoolGauges): void {
  const gauge = (name: string, description: string, unit = '') =>
    meter.createObservableGauge(`signet.python.pool.${name}`, { description, unit });
  const workers = gauge('workers', 'Worker processes by lane and by what they do');
  const inFlight = gauge('in_flight', 'Runs of this executor that workers have');
  const waiting = gauge('waiting', 'Runs of this executor that wait for a worker');
  const memory = gauge('memory', 'Resident memory of all workers', 'By');
  const ends = meter.createObservableCounter('signet.python.pool.ends', {
    description: 'Workers that were restarted, recycled or lost since their sidecars began',
  });
  meter.addBatchObservableCallback(
    (result) => {
      const now = gauges();
      const counts = new Map<string, { count: number; lane: string; state: string }>();
      let bytes = 0;
      for (const worker of now.workers) {
        const lane = laneOf(worker.lane);
        const state = stateNames[worker.state] ?? 'unknown';
        const key = `${lane} ${state}`;
        counts.set(key, { lane, state, count: (counts.get(key)?.count ?? 0) + 1 });
        bytes += Number(worker.rssBytes);
      }
      for (const { count, ...labels } of counts.values()) result.observe(workers, count, labels);
      result.observe(inFlight, now.inFlight);
      result.observe(waiting, now.waiting);
      result.observe(memory, bytes);
      for (const [kind, total] of Object.entries(now.totals)) result.observe(ends, total, { kind });
    },
    [workers, inFlight, waiting, memory, ends],
  );
}

const stateNames: Readonly<Record<number, string>> = {
  [WorkerState.WORKER_STATE_STARTING]: 'starting',
  [WorkerState.WORKER_STATE_READY]: 'ready',
  [WorkerState.WORKER_STATE_DRAINING]: 'draining',
  [WorkerState.WORKER_STATE_LOST]: 'lost',
};
