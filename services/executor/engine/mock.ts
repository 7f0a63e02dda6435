import { hash } from 'node:crypto';
import { AppError } from '@signet/kit/error/app-error.ts';
import { isReason } from '@signet/kit/error/reasons.ts';
import { pauseOrThrow } from '@signet/kit/pause.ts';
import { isObject, JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { Engine, EngineProgram, EngineRun, Prepared, RunContext } from './engine.ts';
import { createDice, type MakeValue, mockField } from './mock-value.ts';

/** How the mock engine misbehaves. A program may say the same of itself in its metadata's `mock`: {latency_ms, error, prepare_error}. */
export type MockBehaviour = {
  /** How long each run takes; default 0. */
  readonly latencyMs?: number;
  /** The reason with which each run fails. */
  readonly error?: string;
  /** The message with which each preparation fails. */
  readonly prepareError?: string;
};

/** The mock engine; what it was told can be forgotten. */
export type MockEngine = Engine & {
  /** Changes how it behaves from now on. */
  behave(behaviour: MockBehaviour): void;
  /** Behaves well again, and counts from zero. */
  reset(): void;
  /** How many runs began since it was made or reset. */
  readonly runs: number;
};

/** Makes the engine that answers from a hash of the inputs: the same inputs always get the same outputs, which fit the signature. */
export function createMockEngine(initial: MockBehaviour = {}): MockEngine {
  let behaviour = initial;
  let runs = 0;
  const makers = new WeakMap<EngineProgram, readonly FieldMaker[]>();
  return {
    name: 'mock',
    get runs() {
      return runs;
    },
    ready: () => true,
    async prepare(program): Promise<Prepared> {
      const { prepareError } = behaviourOf(program, behaviour);
      if (prepareError !== undefined) throw new AppError('MODULE_INVALID', prepareError);
      return { dspyProgramId: `mock-${program.ref.slice(0, 16)}`, dialect: {}, planJson: '', nativeFault: '' };
    },
    async run(program, _inputs, inputsJson, ctx): Promise<EngineRun> {
      runs++;
      const { latencyMs = 0, error } = program.metadata === undefined ? behaviour : behaviourOf(program, behaviour);
      if (latencyMs > 0) await pauseOrThrow(latencyMs, ctx.signal);
      if (error !== undefined) throw injected(error);
      let known = makers.get(program);
      if (known === undefined) {
        known = program.signature.outputs.map((field) => ({ name: field.name, make: mockField(field) }));
        makers.set(program, known);
      }
      const outputs = makeOutputs(known, inputsJson);
      if (ctx.onEvent !== undefined) await tell(program, outputs, ctx, latencyMs > 0);
      return { outputsJson: writeJson(outputs), lmCalls: 0, tokensIn: 0, tokensOut: 0, queueMs: 0, worker: '' };
    },
    behave(next) {
      behaviour = next;
    },
    reset() {
      behaviour = {};
      runs = 0;
    },
    async close() {},
  };
}

type FieldMaker = { readonly name: string; readonly make: MakeValue };

function makeOutputs(makers: readonly FieldMaker[], inputsJson: string): JsonObject {
  const seed = hash('sha256', inputsJson, 'buffer');
  const outputs = new Map<string, JsonValue>();
  for (let index = 0; index < makers.length; index++) {
    const { name, make } = makers[index]!;
    outputs.set(name, make(createDice(seed.readUInt32LE((index % 8) * 4) + index)));
  }
  return outputs;
}

/** Text comes word by word, as a model's would; with a turn of the loop between words, so that a listener sees them one by one. */
async function tell(program: EngineProgram, outputs: JsonObject, ctx: RunContext, isSlow: boolean): Promise<void> {
  ctx.onEvent?.({ kind: 'step', step: program.module, status: 'started' });
  for (const [field, value] of ctx.wantsText ? outputs : []) {
    if (typeof value !== 'string') continue;
    for (const text of value.match(/\s*\S+/g) ?? []) {
      ctx.onEvent?.({ kind: 'token', predictor: program.module, field, text });
      if (isSlow) await pauseOrThrow(1, ctx.signal);
    }
  }
  ctx.onEvent?.({ kind: 'step', step: program.module, status: 'completed' });
}

function behaviourOf(program: EngineProgram, fallback: MockBehaviour): MockBehaviour {
  const own = program.metadata?.get('mock');
  if (own === undefined || !isObject(own)) return fallback;
  const latency = own.get('latency_ms');
  const error = own.get('error');
  const prepareError = own.get('prepare_error');
  return {
    ...fallback,
    ...(latency instanceof JsonNumber ? { latencyMs: Math.min(Math.max(latency.toNumber(), 0), 600_000) } : {}),
    ...(typeof error === 'string' ? { error } : {}),
    ...(typeof prepareError === 'string' ? { prepareError } : {}),
  };
}

function injected(reason: string): unknown {
  if (isReason(reason) && reason !== 'INTERNAL')
    return new AppError(reason, `The mock engine was told to fail with ${reason}`);
  return new Error(`the mock engine was told to break: ${reason}`);
}
