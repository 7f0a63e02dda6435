import type { Meter } from '@opentelemetry/api';
import { createSummedCounter } from '@signet/kit/telemetry/summed-counter.ts';
import type { EngineName } from '../engine/engine.ts';
import type { EndStatus } from '../execution/execution.ts';
import type { Ending } from '../execution/live.ts';
import { createModuleInstruments, type RanModule } from './module-instruments.ts';

/** Counts what ends. */
export type RunInstruments = {
  /** `tokens` are those of prompts and completions together. */
  ended(engine: EngineName, ending: Ending, tokens: number, module: RanModule): void;
};

/** What is read when somebody looks at the metrics. */
export type Gauges = {
  inFlight(): number;
  backlog(): Promise<{ pending: number; oldestMs: number }>;
  /** The engines that were asked yet, and whether they are left alone. */
  breakers(): Iterable<{ readonly engine: EngineName; readonly isOpen: boolean }>;
};

const tokenBoundaries = [0, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144];

/** Makes the instruments of executions and modules: count, duration, tokens, the queue of detached ones, and engines left alone. */
export function createRunInstruments(meter: Meter, gauges: Gauges): RunInstruments {
  const count = createSummedCounter(meter, 'signet.execution.count', { description: 'Executions that ended' });
  const duration = meter.createHistogram('signet.execution.duration', {
    unit: 'ms',
    description: 'How long executions took from being asked for to their end',
  });
  const tokens = meter.createHistogram('signet.execution.token_count', {
    description: 'Tokens of an execution, of its prompts and completions together',
    advice: { explicitBucketBoundaries: tokenBoundaries },
  });
  const modules = createModuleInstruments(meter);
  observe(meter, gauges);
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
    ended(engine, ending, used, module) {
      const labels = attributesOf(engine, ending.status);
      count.add(1, labels);
      duration.record(ending.durationMs, labels);
      if (used > 0 && engine !== 'mock') tokens.record(used, labels);
      modules.ended(engine, ending, module);
    },
  };
}

function observe(meter: Meter, gauges: Gauges): void {
  meter
    .createObservableGauge('signet.execution.in_flight', { description: 'Executions that run in this process' })
    .addCallback((result) => result.observe(gauges.inFlight()));
  meter
    .createObservableGauge('signet.engine.breaker.open', { description: '1 for each engine that is left alone' })
    .addCallback((result) => {
      for (const { engine, isOpen } of gauges.breakers()) result.observe(isOpen ? 1 : 0, { engine });
    });
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
}
