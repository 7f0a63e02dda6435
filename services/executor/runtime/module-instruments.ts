import type { Attributes, Meter } from '@opentelemetry/api';
import { createSummedCounter } from '@signet/kit/telemetry/summed-counter.ts';
import type { EngineName } from '../engine/engine.ts';
import type { Ending } from '../execution/live.ts';

/** The module of an execution. */
export type RanModule = {
  /** The registered module's name, else the kind of module that the program is made of. */
  readonly name: string;
  /** How its engine was chosen; undefined where there was no choice. */
  readonly strategy: string | undefined;
};

/** Counts what modules came to. */
export type ModuleInstruments = { ended(engine: EngineName, ending: Ending, module: RanModule): void };

/** Modules that are counted by name; what comes later is counted together. */
const nameMax = 200;
const otherName = '_OTHER';

/** Makes the instruments of modules: count, duration, and runs on an engine that was not the preferred one. */
export function createModuleInstruments(meter: Meter): ModuleInstruments {
  const count = createSummedCounter(meter, 'signet.module.execute.count', {
    description: 'Executions of modules that ended',
  });
  const duration = meter.createHistogram('signet.module.execute.duration', {
    unit: 'ms',
    description: 'How long executions of modules took',
  });
  const degraded = meter.createCounter('signet.module.degraded.count', {
    description: 'Executions that ran on another engine than the preferred one',
  });
  const names = new Map<string, Attributes>();
  const labelsOf = new Map<string, Attributes>();
  const nameOf = (name: string): Attributes => {
    let known = names.get(name);
    if (known === undefined) {
      const isNew = names.size < nameMax;
      known = isNew ? { module_name: name } : { module_name: otherName };
      if (isNew) names.set(name, known);
    }
    return known;
  };
  const labels = (engine: EngineName, status: string, name: Attributes): Attributes => {
    const key = `${engine} ${status} ${String(name.module_name)}`;
    let known = labelsOf.get(key);
    if (known === undefined) {
      known = { ...name, implementation: engine, status };
      labelsOf.set(key, known);
    }
    return known;
  };
  return {
    ended(engine, ending, module) {
      const name = nameOf(module.name);
      count.add(1, labels(engine, ending.status, name));
      duration.record(ending.durationMs, name);
      if (ending.degraded === true) {
        degraded.add(1, { implementation: engine, strategy: module.strategy ?? 'none' });
      }
    },
  };
}
