import { createHash } from 'node:crypto';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { pauseOrThrow } from '@signet/kit/pause.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import type { LanguageModel, LmCallRecord, LmCompletion, LmContext, LmRequest } from '../lm/language-model.ts';
import type { Budget, CallCost, Reservation } from './budget.ts';
import type { JobCallStore, RecordedCall } from './lm-call.postgres.ts';

/** What metering needs. */
export type MeteredDeps = {
  readonly lm: LanguageModel;
  readonly calls: JobCallStore;
};

/** Whose calls they are, and what they may come to. */
export type MeteredJob = {
  readonly jobId: string;
  readonly leaseToken: number;
  readonly budget: Budget;
  /** What was said before the job was lost, in order. */
  readonly earlier: readonly RecordedCall[];
  /** Ends every call at once: the time is over. */
  readonly late: AbortSignal;
};

const triesMax = 4;
const pauseFirstMs = 300;
const pauseMaxMs = 10_000;
const storeTriesMax = 5;
const storePauseMs = 300;
const storePauseMaxMs = 1_000;
// The words around a message: its role and the marks of the model's own template.
const tokensAroundMessage = 24;

/**
 * The language models as a job sees them: each request to an endpoint is counted and kept before it is sent, repetitions and fallbacks too, and
 * none is sent that could pass a cap. An answer that was kept by an earlier run of the job is given again to an equal request, in its order.
 */
export class MeteredLm implements LanguageModel {
  readonly #deps: MeteredDeps;
  readonly #job: MeteredJob;
  readonly #earlier = new Map<string, RecordedCall[]>();
  #present: RecordedCall[] = [];
  #seq: number;
  #replayed = 0;

  constructor(deps: MeteredDeps, job: MeteredJob) {
    this.#deps = deps;
    this.#job = job;
    this.#seq = job.earlier.at(-1)?.seq ?? 0;
    for (const call of job.earlier) this.#remember(call);
  }

  /** A new step begins: what was answered until now is given again to equal requests, in its order, and not paid for twice. */
  rewind(): void {
    // Behind what this run has not come to yet would be out of order: equal requests have equal answers first.
    const later = new Map([...this.#earlier].map(([hash, calls]) => [hash, [...calls]]));
    this.#earlier.clear();
    for (const call of this.#present.splice(0)) this.#remember(call);
    for (const calls of later.values()) for (const call of calls) this.#remember(call);
  }

  #remember(call: RecordedCall): void {
    if (call.reply === undefined) return;
    const same = this.#earlier.get(call.requestHash);
    if (same === undefined) this.#earlier.set(call.requestHash, [call]);
    else same.push(call);
  }

  /** How many answers were given again since this was asked last. */
  takeReplayed(): number {
    const replayed = this.#replayed;
    this.#replayed = 0;
    return replayed;
  }

  async complete(request: LmRequest, ctx: LmContext): Promise<LmCompletion> {
    const hash = hashOf(request);
    const known = this.#earlier.get(hash)?.shift();
    if (known !== undefined) {
      this.#replayed += 1;
      this.#present.push(known);
      const { reply, finishReason, tokensIn, tokensOut } = known;
      return { text: reply!, streamed: false, promptTokens: tokensIn, completionTokens: tokensOut, finishReason };
    }
    const endpoints = [request.endpoint, ...request.endpoint.fallbacks];
    let first: AppError | undefined;
    for (const endpoint of endpoints) {
      try {
        return await this.#askPatiently(
          { ...request, endpoint: { ...endpoint, fallbacks: [] }, maxRetries: 0 },
          hash,
          ctx,
        );
      } catch (error) {
        const failure = normalizeError(error);
        first ??= failure;
        if (!isPassing(failure)) throw failure;
      }
    }
    throw first;
  }

  async #askPatiently(request: LmRequest, hash: string, ctx: LmContext): Promise<LmCompletion> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#ask(request, hash, ctx);
      } catch (error) {
        const failure = normalizeError(error);
        if (!isPassing(failure) || tries >= triesMax) throw failure;
        const backoffMs = Math.min(pauseFirstMs * 2 ** (tries - 1), pauseMaxMs);
        await pauseOrThrow(Math.max(failure.retryAfterMs ?? 0, backoffMs), ctx.signal);
      }
    }
  }

  async #ask(request: LmRequest, hash: string, ctx: LmContext): Promise<LmCompletion> {
    const { endpoint } = request;
    const { budget, jobId, leaseToken } = this.#job;
    const reserved = await budget.reserve({
      promptTokensMax: promptTokensMax(request),
      completionTokensMax: askedFor(request),
      prices: endpoint.prices,
    });
    this.#seq += 1;
    const seq = this.#seq;
    const sent = { ...costRow(reserved), seq, requestHash: hash, lm: endpoint.slug };
    try {
      ctx.signal?.throwIfAborted();
      const send = () => this.#deps.calls.send(jobId, leaseToken, sent);
      if (!(await patiently(send, ctx.signal))) throw leaseLost();
    } catch (error) {
      budget.release(reserved);
      throw error;
    }
    const signal = ctx.signal === undefined ? this.#job.late : AbortSignal.any([ctx.signal, this.#job.late]);
    let record: LmCallRecord | undefined;
    const onCall = (call: LmCallRecord): undefined => {
      record = call;
    };
    try {
      const completion = await this.#deps.lm.complete(clamped(request, reserved), {
        ...ctx,
        signal,
        onCall,
        recall: undefined,
      });
      const used = usedBy(completion, record, reserved);
      budget.settle(reserved, used);
      const { text: reply, finishReason } = completion;
      this.#present.push({ ...costRow(used), seq, requestHash: hash, reply, finishReason });
      // It is paid: better that the record has a hole than that the answer is lost.
      const end = { ...costRow(used), seq, reply, finishReason, reason: '' };
      await patiently(() => this.#deps.calls.end(jobId, end), ctx.signal).catch(() => {});
      return completion;
    } catch (error) {
      await this.#failed(normalizeError(error), { seq, reserved, record });
      throw error;
    }
  }

  async #failed(
    { reason }: AppError,
    { seq, reserved, record }: { seq: number; reserved: Reservation; record: LmCallRecord | undefined },
  ): Promise<void> {
    const { budget, jobId } = this.#job;
    if (record?.attempts === 0) {
      budget.release(reserved);
      await patiently(() => this.#deps.calls.forget(jobId, seq)).catch(() => {});
      return;
    }
    // Who refuses bills nothing; what broke off may have cost all that it could.
    const isRefusal = reason === 'LM_RATE_LIMITED' || reason === 'LM_ERROR' || reason === 'LM_NOT_CONFIGURED';
    const used: CallCost = isRefusal ? { tokensIn: 0, tokensOut: 0, usd: undefined } : reserved;
    budget.settle(reserved, used);
    const end = { ...costRow(used), seq, reply: undefined, finishReason: '', reason };
    await patiently(() => this.#deps.calls.end(jobId, end)).catch(() => {});
  }
}

/** True for a failure that may pass: the same call, or another endpoint, could succeed. */
function isPassing({ reason }: AppError): boolean {
  return reason === 'LM_UNAVAILABLE' || reason === 'LM_RATE_LIMITED';
}

// Equal requests have equal hashes, whatever they may still cost.
function hashOf({ endpoint, messages, options, promptAdapter }: LmRequest): string {
  const named = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([
    endpoint.slug,
    endpoint.model,
    promptAdapter,
    messages.map(({ role, content }) => [role, content]),
    named,
  ]);
  return createHash('sha256').update(text).digest('hex');
}

// No tokenizer in use makes more tokens than there are bytes.
function promptTokensMax({ messages, options }: LmRequest): number {
  const said = messages.reduce(
    (sum, { content }) => sum + Buffer.byteLength(content) + tokensAroundMessage,
    tokensAroundMessage,
  );
  const { response_format: format, tools } = options;
  return said + Buffer.byteLength(JSON.stringify([format ?? '', tools ?? '']));
}

const lengthNames = ['max_completion_tokens', 'max_tokens'] as const;

function askedFor({ options, endpoint }: LmRequest): number | undefined {
  for (const name of lengthNames) {
    const asked = Number(options[name] ?? endpoint.parameters.get(name) ?? Number.NaN);
    if (Number.isFinite(asked) && asked > 0) return asked;
  }
  return undefined;
}

function clamped(request: LmRequest, { tokensOutMax }: Reservation): LmRequest {
  if (tokensOutMax === undefined) return request;
  const { options, endpoint } = request;
  const name = lengthNames.find((one) => options[one] !== undefined || endpoint.parameters.has(one)) ?? 'max_tokens';
  return { ...request, options: { ...options, [name]: tokensOutMax } };
}

function usedBy(completion: LmCompletion, record: LmCallRecord | undefined, reserved: Reservation): CallCost {
  const { promptTokens, completionTokens } = completion;
  // An endpoint that does not tell may have used all that was set aside.
  if (promptTokens + completionTokens === 0) {
    const said = Math.min(reserved.tokensOut || Number.POSITIVE_INFINITY, Buffer.byteLength(completion.text));
    return { tokensIn: reserved.tokensIn, tokensOut: said, usd: reserved.usd };
  }
  return { tokensIn: promptTokens, tokensOut: completionTokens, usd: record?.cost };
}

function costRow({ tokensIn, tokensOut, usd }: CallCost) {
  return { tokensIn, tokensOut, cost: usd };
}

function leaseLost(): AppError {
  return new AppError('WORKER_LOST', 'The job was taken over by another process');
}

// A database that is away is no failure of the model, which would count against a candidate: the lease says how long to wait for it.
async function patiently<T>(write: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await write();
    } catch (error) {
      const mayWait = signal !== undefined && normalizeError(error).reason === 'DATABASE_UNAVAILABLE';
      if (tries >= storeTriesMax && !mayWait) throw error;
      await pauseOrThrow(Math.min(storePauseMs * tries, storePauseMaxMs), signal);
    }
  }
}

/** The cheapest way to tell whether money can be capped: every language model that may be asked must have prices. */
export function withoutPrices(endpoints: readonly LmEndpoint[]): string[] {
  return endpoints
    .flatMap((endpoint) => [endpoint, ...endpoint.fallbacks])
    .flatMap(({ slug, prices }) => (prices === undefined ? [slug] : []));
}
