import type { Meter } from '@opentelemetry/api';
import type { EngineName } from '../engine/engine.ts';
import type { EndStatus } from '../execution/execution.ts';
import type { Ending } from '../execution/live.ts';

/** Counts what ends. */
export type RunInstruments = {
  /** `tokens` are those of prompts and completions together. */
  ended(engine: EngineName, ending: Ending, tokens: number): void;
};

/** What is read when somebody looks at the metrics. */
export type Gauges = { inFlight(): number; backlog(): Promise<{ pending: number; oldestMs: number }> };

/** Makes the instruments of executions: count, duration, and the queue of detached ones. */
export function createRunInstruments(meter: Meter, gauges: Gauges): RunInstruments {
  const count = meter.createCounter('signet.execution.count', { description: 'Executions that ended' });
  const duration = meter.createHistogram('signet.execution.duration', { unit: 'ms' });
  const tokens = meter.createCounter('signet.execution.token_count', {
    description: 'Tokens of prompts and completions',
  });
  meter
    .createObservableGauge('signet.execution.in_flight', { description: 'Executions that run in this process' })
    .addCallback((result) => result.observe(gauges.inFlight()));
  const depth = meter.createObservableGauge('signet.queue.depth', { description: 'Detached executions that wait' });
  const age = meter.createObservableGauge('signet.queue.age', {
    unit: 'ms',
    description: 'How long the oldest has waited',
  });
  meter.addBatchObservableCallback(
    async (result) => {
      try {
        const { pending, oldestMs } = await gauges.backlog();
        result.observe(depth, pending);
        result.observe(age, oldestMs);
      } catch {
        // Without the database there is nothing to tell.
      }
    },
    [depth, age],
  );
  // One object for each pair, made once: attributes are looked up for each execution.
  const attributes = new Map<string, { engine: EngineName; status: EndStatus }>();
  const attributesOf = (engine: EngineName, status: EndStatus) => {
    const key = `${engine} ${status}`;
    let known = attributes.get(key);
    if (known === undefined) {
      known = { engine, status };
      attributes.set(key, known);
    }
    return known;
  };
  return {
    ended(engine, ending, used) {
      const labels = attributesOf(engine, ending.status);
      count.add(1, labels);
      duration.record(ending.durationMs, labels);
      if (used > 0 && engine !== 'mock') tokens.add(used, labels);
    },
  };
}
