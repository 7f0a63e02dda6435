import type { Logger } from '@signet/kit/log/logger.ts';
import type { LmCallRecord, LmCalls, LmCompletion, LmTaken, Recalled } from '../lm/language-model.ts';
import type { LmCallStore, RecordedAnswer } from './lm-call.postgres.ts';
import type { Keeping, PendingAnswers } from './pending-answers.ts';

// A program that asks more often still has all of it in its figures.
const rowsMax = 1_000;
const triesMax = 5;
const pauseMs = 200;

/** One call as it is kept. */
export type LmCallRow = Omit<LmCallRecord, 'requestHash' | 'text' | 'provider' | 'messages'> & {
  readonly executionId: string;
  /** From 1, over all runs of the execution. */
  readonly seq: number;
  /** Which attempt of the execution made it. */
  readonly run: number;
  /** In hexadecimal digits. */
  readonly requestHash: string;
  /** Kept only where a run may have to begin anew. */
  readonly reply?: string;
};

/** What the calls of an execution come to. */
export type LmFigures = LmTaken & {
  /** Which model answered last; empty if none did. */
  readonly model: string;
  readonly slug: string;
};

/** What keeping calls needs. */
export type LmCallDeps = { readonly lmCallStore: LmCallStore; readonly log: Logger };

/** Of which execution they are. */
export type LmCallOwner = {
  readonly executionId: string;
  readonly run: number;
  /** Writes a call. Given, each is written before its answer is passed on. */
  readonly keep?: (call: LmCallRow) => Keeping;
  /** Given, an answer is passed on at once, and no model is asked anything before all of these are safe. */
  readonly pending?: PendingAnswers | undefined;
};

/**
 * The calls of one execution. Of an attached one they go along with the end row, without what was said: nobody runs it again. Of a detached one
 * each is written before its answer is passed on, and given again to a run that begins anew: it is not paid twice.
 */
export class ExecutionLmCalls implements LmCalls {
  /** Told of each call. */
  readonly onCall = (call: LmCallRecord): Promise<void> | undefined => this.#take(call);
  /** Gives an answer of an earlier run. */
  readonly recall = (requestHash: Buffer): Recalled => this.#recall(requestHash) ?? this.#mayAsk();
  readonly #deps: LmCallDeps;
  readonly #owner: LmCallOwner;
  #last = 0;
  #rows: LmCallRow[] = [];
  #earlier: Map<string, LmCompletion[]> | undefined;
  #present: RecordedAnswer[] = [];
  #figures = {
    calls: 0,
    tokensIn: 0,
    tokensOut: 0,
    cost: undefined as number | undefined,
    lmMs: 0,
    model: '',
    slug: '',
  };

  constructor(deps: LmCallDeps, owner: LmCallOwner) {
    this.#deps = deps;
    this.#owner = owner;
  }

  /** What the calls of this run of the execution come to; what was given again costs nothing. */
  get figures(): LmFigures {
    return this.#figures;
  }

  /** Calls that wait for the end row. */
  get rows(): readonly LmCallRow[] {
    return this.#rows;
  }

  /** Reads what earlier owners of the execution were answered. Fails with DATABASE_UNAVAILABLE. */
  async load(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        const { answers, last } = await this.#deps.lmCallStore.read(this.#owner.executionId);
        this.#last = last;
        this.#remember(answers);
        return;
      } catch (error) {
        if (tries >= triesMax) throw error;
        await pause(tries);
      }
    }
  }

  /** The run begins anew: what was answered so far is given again, in its order. */
  rewind(): void {
    this.#remember(this.#present.splice(0));
  }

  /** Counts in what the steps of the execution took. */
  include(taken: LmTaken): void {
    const sum = this.#figures;
    sum.calls += taken.calls;
    sum.tokensIn += taken.tokensIn;
    sum.tokensOut += taken.tokensOut;
    sum.lmMs += taken.lmMs;
    if (taken.cost !== undefined) sum.cost = (sum.cost ?? 0) + taken.cost;
  }

  #remember(answers: readonly RecordedAnswer[]): void {
    this.#earlier ??= new Map();
    for (const { requestHash, completion } of answers) {
      const same = this.#earlier.get(requestHash);
      if (same === undefined) this.#earlier.set(requestHash, [completion]);
      else same.push(completion);
    }
  }

  #recall(requestHash: Buffer): LmCompletion | undefined {
    if (this.#earlier === undefined) return undefined;
    const hash = requestHash.toString('hex');
    const completion = this.#earlier.get(hash)?.shift();
    // Should this run be lost as well, the next one needs it too.
    if (completion !== undefined) this.#present.push({ requestHash: hash, completion });
    return completion;
  }

  #take(call: LmCallRecord): Promise<void> | undefined {
    this.#count(call);
    const { executionId, run, keep, pending } = this.#owner;
    const { provider: _, messages: __, text, requestHash, ...rest } = call;
    this.#last += 1;
    const row = { ...rest, executionId, run, seq: this.#last, requestHash: requestHash.toString('hex') };
    if (keep === undefined) {
      if (this.#rows.length < rowsMax) this.#rows.push(row);
      return undefined;
    }
    // Postgres keeps no U+0000 in a text: such an answer is asked for again.
    if (text === undefined || text.includes('\0')) return keep(row).kept;
    const { promptTokens, completionTokens, finishReason } = call;
    const completion = { text, streamed: false, promptTokens, completionTokens, finishReason };
    this.#present.push({ requestHash: row.requestHash, completion });
    const keeping = keep({ ...row, reply: text });
    if (pending === undefined) return keeping.kept;
    pending.add(keeping);
    return undefined;
  }

  #mayAsk(): Promise<undefined> | undefined {
    return this.#owner.pending?.ready()?.then(() => undefined);
  }

  #count(call: LmCallRecord): void {
    const sum = this.#figures;
    sum.calls += 1;
    sum.tokensIn += call.promptTokens;
    sum.tokensOut += call.completionTokens;
    sum.lmMs += call.durationMs;
    if (call.cost !== undefined) sum.cost = (sum.cost ?? 0) + call.cost;
    if (call.reason !== '') return;
    sum.model = call.model;
    sum.slug = call.slug;
  }
}

function pause(tries: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pauseMs * tries));
}
