import type { CallContext } from '@signet/kit/call-context.ts';
import { endSpan } from '@signet/kit/telemetry/span.ts';
import { traceIdOf, traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import type { EndRow, StartRow } from '../execution/execution.ts';
import { faultOf } from '../execution/fault.ts';
import type { Ending } from '../execution/live.ts';
import type { CheckedInputs } from './call-input.ts';
import type { ExecuteDeps } from './execute-program.ts';
import type { CallPlan } from './plan-call.ts';
import { ranModule, startExecutionSpan } from './run-execution.ts';

/** What is said of an execution when its row is made, beside its plan. */
export type RowInput = Pick<StartRow, 'id' | 'inputsJson' | 'parentId' | 'step' | 'isOwned' | 'isQuiet' | 'askedMs'> & {
  readonly isDetached: boolean;
  readonly retriedFrom?: string;
};

/** The first row of an execution. */
export function startRow(
  plan: CallPlan,
  { isDetached, retriedFrom, ...row }: RowInput,
  trace: CallContext['trace'],
  ctx: { readonly principal?: CallContext['principal'] },
): StartRow {
  const { program, engine } = plan;
  return {
    ...row,
    programId: program.id,
    slug: program.slug,
    version: program.version,
    module: program.engineProgram.module,
    engine: engine.name,
    detached: isDetached,
    optionsJson: plan.optionsJson,
    labelsJson: plan.labelsJson,
    metadataJson: plan.metadataJson,
    traceId: traceIdOf(trace),
    traceparent: traceparentOf(trace),
    keyId: ctx.principal?.keyId ?? '',
    retriedFrom: retriedFrom || null,
    moduleId: program.moduleSettings?.id ?? null,
    moduleName: program.moduleSettings?.name ?? null,
  };
}

/** Writes the row of a call whose inputs do not fit; gives its end when that is committed. */
export async function recordInvalid(
  deps: Pick<ExecuteDeps, 'clock' | 'telemetry' | 'recorder' | 'instruments'>,
  { plan, id, askedMs }: { readonly plan: CallPlan; readonly id: string; readonly askedMs: number },
  checked: Extract<CheckedInputs, { ok: false }>,
  ctx: Pick<CallContext, 'trace'> & { readonly principal?: CallContext['principal'] },
  row: Omit<RowInput, 'id' | 'inputsJson'> = { isDetached: false },
): Promise<Ending> {
  const { span, context } = startExecutionSpan(deps, plan, id, ctx.trace);
  const record = deps.recorder.begin(startRow(plan, { ...row, id, inputsJson: checked.json }, context, ctx));
  const fault = faultOf(checked.error);
  const durationMs = Math.round((deps.clock.steadyMs() - askedMs) * 1000) / 1000;
  const end: EndRow = {
    status: 'failed',
    outputsJson: null,
    errorJson: JSON.stringify(fault),
    durationMs,
    metricsJson: '{"tokens_in":0,"tokens_out":0,"lm_calls":0,"queue_ms":0,"engine_ms":0,"attempts":0}',
    traceJson: '[]',
    attempts: 0,
    workerLosses: 0,
    lastSequence: 2,
  };
  await record.finish(end);
  const ending: Ending = { status: 'failed', outputsJson: undefined, fault, durationMs };
  deps.instruments.ended(plan.engine.name, ending, 0, ranModule(plan.program));
  endSpan(span, checked.error);
  return ending;
}
