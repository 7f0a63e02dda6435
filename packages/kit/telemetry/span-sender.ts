import type { Context, Meter } from '@opentelemetry/api';
import {
  BatchSpanProcessor,
  type ReadableSpan,
  type Span,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace';
import type { Logger } from '../log/logger.ts';
import { createTally, type Tally } from '../log/tally.ts';

/** What sending spans needs. */
export type SpanSenderDeps = {
  readonly exporter: SpanExporter;
  readonly meter: Meter;
  /** Where it is told that nobody takes them; undefined tells nobody. */
  readonly log: Logger | undefined;
};

const waitingMax = 8_192;
const delayMs = 500;
const timeoutMs = 3_000;
/** An exporter that has not come back by then has lost its spans. */
const givenUpMs = 10_000;

/**
 * Sends spans in the background: at most 8,192 wait, what comes beyond is dropped and counted, and a receiver that is away, slow or
 * silent is told of once, as is its return. Ending a span never waits and never throws.
 */
export function createSpanSender({ exporter, meter, log }: SpanSenderDeps): SpanProcessor {
  return new SpanSender(exporter, meter, log);
}

class SpanSender implements SpanProcessor {
  readonly #batches: BatchSpanProcessor;
  readonly #exporter: SpanExporter;
  readonly #log: Logger | undefined;
  readonly #tally: Tally | undefined;
  readonly #lost;
  #waiting = 0;
  #lostSince = 0;
  #isAway = false;

  constructor(exporter: SpanExporter, meter: Meter, log: Logger | undefined) {
    this.#exporter = exporter;
    this.#log = log;
    this.#tally = log && createTally(log);
    this.#lost = meter.createCounter('signet.telemetry.span.lost', {
      description: 'Spans that were dropped, since too many waited or nobody took them',
    });
    meter
      .createObservableGauge('signet.telemetry.span.waiting', { description: 'Spans that wait to be sent' })
      .addCallback((result) => result.observe(this.#waiting));
    this.#batches = new BatchSpanProcessor({
      exporter: {
        export: (spans, done) => this.#send(spans, done),
        shutdown: () => exporter.shutdown(),
        forceFlush: async () => exporter.forceFlush?.(),
      },
      scheduledDelayMillis: delayMs,
      maxQueueSize: waitingMax,
      exportTimeoutMillis: timeoutMs,
    });
  }

  onStart(span: Span, context: Context): void {
    this.#batches.onStart(span, context);
  }

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & 1) === 0) return;
    if (this.#waiting >= waitingMax) {
      this.#lose(1, 'full');
      this.#tally?.note(
        'spans dropped',
        { waiting: this.#waiting },
        'spans are dropped: they come faster than they are taken',
      );
      return;
    }
    this.#waiting++;
    this.#batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown();
  }

  #send(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    let isSettled = false;
    const settle: typeof done = (result) => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(late);
      this.#waiting -= spans.length;
      if (result.code === 0) this.#taken();
      else this.#refused(spans.length, result.error);
      done(result);
    };
    const late = setTimeout(() => settle({ code: 1, error: new Error('no answer') }), givenUpMs).unref();
    try {
      this.#exporter.export(spans, settle);
    } catch (error) {
      settle({ code: 1, error: error as Error });
    }
  }

  #taken(): void {
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#log?.info({ lost: this.#lostSince }, 'spans are taken again');
    this.#lostSince = 0;
  }

  #refused(count: number, error: Error | undefined): void {
    this.#lose(count, 'refused');
    if (this.#isAway) return;
    this.#isAway = true;
    this.#log?.warn({ err: error?.message }, 'spans are lost: nobody takes them');
  }

  #lose(count: number, why: 'full' | 'refused'): void {
    this.#lost.add(count, { reason: why });
    this.#lostSince += count;
  }
}
