import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { traceIdOf } from '@signet/kit/telemetry/traceparent.ts';
import { errorOf } from '../execution/fault.ts';
import type { Ending, LiveEvent } from '../execution/live.ts';
import { checkInputs, type ExecuteInput } from './call-input.ts';
import { EventQueue } from './event-queue.ts';
import { beginAttached, type ExecuteDeps, type ExecuteResult, runBegun } from './execute-program.ts';
import { recordInvalid } from './first-row.ts';
import { planCall } from './plan-call.ts';
import type { BegunExecution } from './run-execution.ts';

/** What a stream tells: what happens on the way, then how it ended well. */
export type StreamItem =
  | { readonly kind: 'event'; readonly executionId: string; readonly event: Exclude<LiveEvent, { kind: 'end' }> }
  | {
      readonly kind: 'result';
      readonly executionId: string;
      readonly sequence: number;
      readonly result: ExecuteResult;
    };

/**
 * Runs a program once and streams its states, steps and text, then its result. A failure ends the stream by being thrown, after its row
 * is committed. A reader who goes away cancels the execution.
 */
export async function* streamProgram(
  deps: ExecuteDeps,
  input: ExecuteInput,
  ctx: CallContext,
): AsyncGenerator<StreamItem> {
  deps.gate.enter();
  try {
    const askedMs = deps.clock.steadyMs();
    const plan = await planCall(deps, input, ctx);
    const attached = { plan, input, askedMs, id: newId() };
    const checked = checkInputs(plan.program, input.inputs);
    if (!checked.ok) {
      await recordInvalid(deps, attached, checked, ctx);
      throw checked.error.with({ executionId: attached.id });
    }
    const begun: BegunExecution = beginAttached(deps, attached, checked, ctx, (event) => begun.live.tell(event));
    yield* follow(deps, begun);
  } finally {
    deps.gate.leave();
  }
}

async function* follow(deps: ExecuteDeps, begun: BegunExecution): AsyncGenerator<StreamItem> {
  const { live } = begun;
  const executionId = live.id;
  const queue = new EventQueue();
  let ending: Ending | undefined;
  let broken: unknown;
  queue.push({ kind: 'state', sequence: 1, status: 'pending' });
  queue.push({ kind: 'state', sequence: 2, status: 'running' });
  live.listen((event) => queue.push(event));
  const running = runBegun(deps, begun)
    .then(
      (ended) => {
        ending = ended;
      },
      (error: unknown) => {
        broken = error;
      },
    )
    .finally(() => {
      deps.live.remove(live);
      queue.close();
    });
  try {
    for (let event = await queue.next(); event !== undefined; event = await queue.next()) {
      if (event.kind !== 'end') {
        yield { kind: 'event', executionId, event };
        continue;
      }
      await running;
      if (event.ending.fault !== undefined) throw errorOf(event.ending.fault, executionId);
      yield { kind: 'result', executionId, sequence: event.sequence, result: resultOf(begun, event.ending) };
    }
    if (broken !== undefined) throw broken;
  } finally {
    // A reader who left early: whoever waits for nothing is not worth a model's time.
    if (ending === undefined && broken === undefined) live.abort(new AppError('CANCELLED', 'The caller went away'));
    await running;
  }
}

function resultOf({ live, plan, trace }: BegunExecution, ended: Ending): ExecuteResult {
  return {
    executionId: live.id,
    status: ended.status,
    outputsJson: ended.outputsJson,
    durationMs: ended.durationMs,
    traceId: traceIdOf(trace),
    engine: ended.engine ?? plan.engine.name,
    cacheHit: ended.cacheHit ?? false,
    degraded: ended.degraded ?? false,
    programId: plan.program.id,
    version: plan.program.version,
  };
}
