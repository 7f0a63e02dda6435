import type { CallContext } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { EventQueue } from '../runtime/event-queue.ts';
import { type Execution, isEnd } from './execution.ts';
import { getExecution } from './get-execution.ts';
import type { LiveEvent } from './live.ts';
import type { WaitDeps } from './wait-execution.ts';

const lookAgainMs = 1_000;

/**
 * Tells what happens to an execution until it has ended, from after a sequence on: its states and steps, its text while it runs in this
 * process (who comes late gets the text so far, once a field), and its end. Fails with EXECUTION_NOT_FOUND.
 */
export async function* watchExecution(
  deps: WaitDeps,
  input: { readonly id: string; readonly afterSequence: number },
  ctx: CallContext,
): AsyncGenerator<{ readonly execution: Execution; readonly event: LiveEvent }> {
  if (input.afterSequence < 0) throw invalidField('after_sequence', 'must not be negative', 'NEGATIVE');
  const queue = new EventQueue();
  let stop: (() => void) | undefined;
  let after = input.afterSequence;
  try {
    for (;;) {
      const heard = stop === undefined ? deps.live.get(input.id)?.listen((event) => queue.push(event)) : undefined;
      const isFollowed = stop !== undefined;
      stop ??= heard?.stop;
      const news = deps.live.news(input.id, lookAgainMs, ctx.signal);
      const execution = await getExecution(deps, input.id);
      // Whoever listens already hears steps in their place among the text; the database would tell them too early.
      const past = isFollowed && !isEnd(execution.status) ? [] : await pastEvents(deps, execution, after);
      const textSoFar = isEnd(execution.status) ? [] : (heard?.textSoFar ?? []);
      for (const event of [...past, ...textSoFar].sort((a, b) => a.sequence - b.sequence)) {
        after = Math.max(after, event.sequence);
        yield { execution, event };
        if (event.kind === 'end') return;
      }
      if (isEnd(execution.status)) return;
      deps.live.requireNews(input.id);
      after = yield* liveEvents(queue, { execution, after, until: news });
      if (ctx.signal.aborted) return;
    }
  } finally {
    stop?.();
  }
}

type LiveSpan = { readonly execution: Execution; readonly after: number; readonly until: Promise<void> };

/** Hands on what comes in live until there is news in the database; the end is told from there, so that it is told once. */
async function* liveEvents(
  queue: EventQueue,
  span: LiveSpan,
): AsyncGenerator<{ execution: Execution; event: LiveEvent }, number> {
  let { after } = span;
  let isOver = false;
  const over = span.until.then(() => {
    isOver = true;
    queue.nudge();
  });
  while (!isOver) {
    const event = await queue.next(() => isOver);
    if (event === undefined || event.kind === 'end') break;
    if (event.kind === 'state' || event.sequence <= after) continue;
    after = event.sequence;
    yield { execution: span.execution, event };
  }
  await over;
  return after;
}

async function pastEvents(deps: WaitDeps, execution: Execution, after: number): Promise<LiveEvent[]> {
  const events: LiveEvent[] = [{ kind: 'state', sequence: 1, status: 'pending' }];
  if (execution.startTime !== undefined) events.push({ kind: 'state', sequence: 2, status: 'running' });
  for (const step of await deps.store.steps(execution.id, after)) events.push({ kind: 'step', ...step });
  if (isEnd(execution.status)) {
    const sequence = Math.max(execution.lastSequence, events.at(-1)!.sequence + 1);
    events.push({ kind: 'state', sequence, status: execution.status });
    events.push({
      kind: 'end',
      sequence: sequence + 1,
      ending: {
        status: execution.status,
        outputsJson: execution.outputsJson,
        fault: execution.error,
        durationMs: execution.durationMs ?? 0,
      },
    });
  }
  return events.filter(({ sequence }) => sequence > after);
}
