import type { Meter } from '@opentelemetry/api';
import type { WorkStore } from './work-store.postgres.ts';

/** Shows batches, evaluations and optimizations that have not ended, and how long the oldest has waited, whenever somebody looks. */
export function observeWork(meter: Meter, store: WorkStore): void {
  const open = meter.createObservableGauge('signet.work.open', {
    description: 'Batches, evaluations and optimizations that wait or run',
  });
  const age = meter.createObservableGauge('signet.work.age', {
    unit: 'ms',
    description: 'How long the oldest of those that wait has waited',
  });
  const items = meter.createObservableGauge('signet.batch.items.open', {
    description: 'Items of batches that have not ended',
  });
  meter.addBatchObservableCallback(
    async (result) => {
      try {
        const [work, openItems] = await Promise.all([store.open(), store.openItems()]);
        for (const { kind, waiting, running, oldestMs } of work) {
          result.observe(open, waiting, { kind, state: 'waiting' });
          result.observe(open, running, { kind, state: 'running' });
          result.observe(age, oldestMs, { kind });
        }
        result.observe(items, openItems);
      } catch {
        // Without the database there is nothing to tell.
      }
    },
    [open, age, items],
  );
}
