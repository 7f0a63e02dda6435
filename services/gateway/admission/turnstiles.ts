import type { Meter } from '@opentelemetry/api';
import { createSummedCounter } from '@signet/kit/telemetry/summed-counter.ts';
import type { Contract, PublicMethod } from '../contract/public-methods.ts';
import { Turnstile } from './turnstile.ts';

/** Methods that hold an engine for as long as they last; all others are short, or wait at no cost to speak of. */
const runMethods: ReadonlySet<string> = new Set([
  'ExecuteProgram',
  'StreamProgram',
  'RunProgram',
  'ExecuteModule',
  'QuickExecute',
]);

/** Calls besides runs that may be under way at once. */
const otherMax = 2_000;

/** How often it is looked whether this process keeps up, and the lag from which on it does not. */
const lookEveryMs = 100;
const lagMaxMs = 60;

/** The places of a gateway: for runs, and for everything else, so that neither can starve the other. */
export type Turnstiles = {
  /** That of a method. */
  of(method: Pick<PublicMethod, 'name'>): Turnstile;
  /** That of an HTTP request, before its route is known. */
  ofUrl(url: string): Turnstile;
  /** True for the place of runs, which hold an engine; their requests are refused before they are parsed. */
  isRun(turnstile: Turnstile): boolean;
  /** Counts a call that found no place. */
  refused(turnstile: Turnstile): void;
  /** Ends the look at how this process keeps up. */
  close(): void;
};

/** Makes the places, and the instruments that tell of them. */
export function createTurnstiles(meter: Meter, contract: Contract, runMax: number): Turnstiles {
  const runs = new Turnstile({ callMax: runMax });
  const others = new Turnstile({ callMax: otherMax });
  const verbs = runVerbs(contract);
  const named = [
    [runs, { 'signet.call.kind': 'run' }],
    [others, { 'signet.call.kind': 'other' }],
  ] as const;
  meter.createObservableGauge('signet.gateway.in_flight', { description: 'Calls under way' }).addCallback((result) => {
    for (const [turnstile, labels] of named) result.observe(turnstile.size, labels);
  });
  meter
    .createObservableGauge('signet.gateway.in_flight.bound', {
      description: 'Calls that may be under way at once, now',
    })
    .addCallback((result) => {
      for (const [turnstile, labels] of named) result.observe(turnstile.bound, labels);
    });
  const refusals = createSummedCounter(meter, 'signet.gateway.refused.count', {
    description: 'Calls refused for want of a place, before anything of them was read',
  });
  let dueMs = performance.now() + lookEveryMs;
  const look = setInterval(() => {
    const nowMs = performance.now();
    if (nowMs - dueMs > lagMaxMs) runs.strained();
    dueMs = nowMs + lookEveryMs;
  }, lookEveryMs).unref();
  return {
    close: () => clearInterval(look),
    of: ({ name }) => (runMethods.has(name) ? runs : others),
    ofUrl(url) {
      const question = url.indexOf('?');
      const path = question < 0 ? url : url.slice(0, question);
      const colon = path.lastIndexOf(':');
      return colon >= 0 && verbs.has(path.slice(colon + 1)) ? runs : others;
    },
    isRun: (turnstile) => turnstile === runs,
    refused(turnstile) {
      refusals.add(1, turnstile === runs ? named[0][1] : named[1][1]);
    },
  };
}

function runVerbs(contract: Contract): ReadonlySet<string> {
  const bindings = contract.methods.filter(({ name }) => runMethods.has(name)).flatMap((method) => method.bindings);
  return new Set(bindings.map(({ template }) => template.slice(template.lastIndexOf(':') + 1)));
}
