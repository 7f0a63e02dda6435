import { AppError } from '@signet/kit/error/app-error.ts';
import type { Reason } from '@signet/kit/error/reasons.ts';
import { type JsonObject, jsonFromPlain, plainFromJson } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { Engine, RunContext } from '../engine/engine.ts';

/** What a step of a test does; it gives its output. */
export type Act = (inputs: Record<string, unknown>, ctx: RunContext) => unknown;

/** An engine for tests of pipelines: each signature with one output does what stands under that output's name. */
export type ScriptedEngine = Engine & {
  readonly acts: Map<string, Act>;
  /** Which outputs were made, in the order of their beginnings. */
  readonly begun: string[];
  /** How many runs are under way, and the most that there were. */
  readonly running: { now: number; max: number };
};

/** Makes one that stands in for the mock engine. An output without an act echoes the first input. */
export function createScriptedEngine(): ScriptedEngine {
  const acts = new Map<string, Act>();
  const begun: string[] = [];
  const running = { now: 0, max: 0 };
  return {
    ...{ name: 'mock', acts, begun, running },
    ready: () => true,
    prepare: async () => ({ dspyProgramId: 'scripted', dialect: {}, planJson: '', nativeFault: '' }),
    async run(program, inputs, _inputsJson, ctx) {
      const { name } = program.signature.outputs[0]!;
      begun.push(name);
      running.now += 1;
      running.max = Math.max(running.max, running.now);
      try {
        const act = acts.get(name) ?? ((given) => Object.values(given)[0]);
        const output = await act(plainFromJson(inputs) as Record<string, unknown>, ctx);
        const outputs = jsonFromPlain({ [name]: output }) as JsonObject;
        return { outputsJson: writeJson(outputs), lmCalls: 1, tokensIn: 10, tokensOut: 5, queueMs: 0, worker: '' };
      } finally {
        running.now -= 1;
      }
    },
    close: async () => {},
  };
}

/** An act that fails with a reason, the first `times` times. */
export function failing(reason: Reason, times = Number.POSITIVE_INFINITY): Act {
  let left = times;
  return (inputs) => {
    if (left-- > 0) throw new AppError(reason, `scripted ${reason}`);
    return Object.values(inputs)[0];
  };
}

/** An act that takes its time, or until the run is to stop. */
export function taking(delayMs: number): Act {
  return (inputs, { signal }) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve(Object.values(inputs)[0]), delayMs);
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    });
}
