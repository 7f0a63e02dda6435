import { status } from '@grpc/grpc-js';
import type { CallOptions } from './channel.grpc.ts';
import type { ExecutionEvent } from './execution.ts';
import type { Services } from './services.ts';
import { SignetError } from './signet-error.ts';
import { fromEvent } from './wire.ts';

const LOST_MAX = 5;

/**
 * The events of an execution until it has ended, from the beginning or after a sequence. A connection that is lost is opened again where
 * it broke; no text comes twice. Leaving the iteration ends the call.
 */
export async function* watchExecution(
  services: Services,
  execution: string,
  options: CallOptions & { readonly afterSequence?: number } = {},
): AsyncGenerator<ExecutionEvent, void> {
  let after = options.afterSequence ?? 0;
  let lost = 0;
  const texts = new StreamedTexts();
  for (;;) {
    try {
      const events = services.executions.watchExecution({ execution, afterSequence: BigInt(after) }, options);
      for await (const wire of events) {
        const event = fromEvent(wire);
        if (event === undefined) continue;
        after = Math.max(after, event.sequence);
        lost = 0;
        const fresh = texts.fresh(event);
        if (fresh !== undefined) yield fresh;
        if (event.type === 'result' || event.type === 'error') return;
      }
      return;
    } catch (error) {
      lost += 1;
      const isLost = error instanceof SignetError && error.code === status.UNAVAILABLE;
      if (!isLost || lost > LOST_MAX || options.retries === 0) throw error;
      texts.expectRepeats();
    }
  }
}

/** What text has come for each field: who opens a watch again gets the text so far in one event. */
class StreamedTexts {
  private readonly seen = new Map<string, string>();
  private readonly repeats = new Set<string>();

  expectRepeats(): void {
    for (const key of this.seen.keys()) this.repeats.add(key);
  }

  fresh(event: ExecutionEvent): ExecutionEvent | undefined {
    if (event.type !== 'token') return event;
    const key = JSON.stringify([event.predictor, event.field]);
    const before = this.seen.get(key) ?? '';
    if (this.repeats.delete(key) && event.text.startsWith(before)) {
      this.seen.set(key, event.text);
      const text = event.text.slice(before.length);
      return text === '' ? undefined : { ...event, text };
    }
    this.seen.set(key, before + event.text);
    return event;
  }
}
