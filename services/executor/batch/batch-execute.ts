import type { CallContext } from '@signet/kit/call-context.ts';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { RunOptions } from '../execution/execution.ts';
import type { GivenInputs } from '../runtime/call-input.ts';
import type { ExecuteResult } from '../runtime/execute-program.ts';
import { concurrencyOf, onVersion, requireNoShadow } from './batch.ts';

/** What running many inputs while their caller waits needs. */
export type BatchExecuteDeps = {
  /** Refuses what no item could do; gives the version that all of them run on. */
  plan(asked: BatchAsked, ctx: CallContext): Promise<number>;
  /** Runs one input and waits. */
  execute(asked: BatchAsked, inputs: GivenInputs, ctx: CallContext): Promise<ExecuteResult>;
};

/** What is the same for all items. */
export type BatchAsked = {
  /** Id or slug. */
  readonly program: string;
  readonly options: RunOptions;
  readonly labels: Readonly<Record<string, string>>;
};

/** One input with what its result is to be known by. */
export type BatchInput<K> = { readonly index: number; readonly inputs: GivenInputs; readonly kind: K };

/** How one input went. */
export type BatchOutcome<K> = {
  readonly index: number;
  readonly kind: K;
  readonly result: ExecuteResult | undefined;
  readonly error: AppError | undefined;
  /** The version that all of them run on. */
  readonly version: number;
  /** From the last try's start to its end. */
  readonly durationMs: number;
};

/** The caller or the process goes: what is left will not be done. */
const endings = ['SHUTTING_DOWN'];
const waitMs = { min: 50, spread: 200 };

/**
 * Runs a program over inputs as they come and gives each outcome as it is there, in any order. At most `concurrency` run at once; no more
 * is read while so many run or wait to be taken. An input that fails is an outcome with an error. Where the inputs themselves cannot be
 * read any further those before them are finished first, and then that is thrown; when the service closes, SHUTTING_DOWN. Fails at once
 * with what no item could do without.
 */
export async function* batchExecute<K>(
  deps: BatchExecuteDeps,
  input: BatchAsked & { readonly concurrency: number; readonly items: AsyncIterable<BatchInput<K>> },
  ctx: CallContext,
): AsyncGenerator<BatchOutcome<K>, void> {
  const limit = concurrencyOf(input.concurrency);
  requireNoShadow(input.options);
  const { program, labels } = input;
  const version = await deps.plan({ program, options: input.options, labels }, ctx);
  const asked = { program, labels, options: onVersion(input.options, version) };
  const source = input.items[Symbol.asyncIterator]();
  const ended: BatchOutcome<K>[] = [];
  let wake = (): void => {};
  let running = 0;
  let isReading = false;
  let isExhausted = false;
  let failure: unknown;
  const stop = (error?: unknown): void => {
    isExhausted = true;
    failure ??= error;
  };
  const run = async (item: BatchInput<K>): Promise<void> => {
    running++;
    const outcome = { ...(await runItem(deps, asked, item, ctx)), version };
    running--;
    if (outcome.error !== undefined && endings.includes(outcome.error.reason)) stop(outcome.error);
    else ended.push(outcome);
    wake();
  };
  const read = async (): Promise<void> => {
    isReading = true;
    try {
      const { done, value } = await source.next();
      if (done) stop();
      else void run(value);
    } catch (error) {
      stop(error);
    }
    isReading = false;
    wake();
  };
  for (;;) {
    for (let outcome = ended.shift(); outcome !== undefined; outcome = ended.shift()) yield outcome;
    if (!isExhausted && !isReading && running < limit) void read();
    if (isExhausted && running === 0 && ended.length === 0) break;
    // Nothing can have happened since: all of this was one turn.
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  if (failure !== undefined) throw failure;
}

// What the service cannot take now is tried again: a caller who sends a batch waits anyway.
async function runItem<K>(
  deps: BatchExecuteDeps,
  asked: BatchAsked,
  { index, inputs, kind }: BatchInput<K>,
  ctx: CallContext,
): Promise<Omit<BatchOutcome<K>, 'version'>> {
  for (;;) {
    const begunMs = performance.now();
    const took = () => ({ index, kind, durationMs: performance.now() - begunMs });
    try {
      const result = await deps.execute(asked, inputs, ctx);
      return { ...took(), result, error: undefined };
    } catch (thrown) {
      const error = normalizeError(thrown);
      if (error.reason !== 'QUEUE_FULL' || ctx.signal.aborted) return { ...took(), result: undefined, error };
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs.min + Math.random() * waitMs.spread));
  }
}
