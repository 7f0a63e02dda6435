import { randomUUID } from 'node:crypto';
import { SpanStatusCode, type Tracer } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { unexpectedMessage } from '@signet/kit/error/normalize.ts';
import { isReason } from '@signet/kit/error/reasons.ts';
import type { ModuleFault, RunError } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { SidecarRun } from './sidecar-run.ts';

/** Turns a worker's RunError into the error of the run. What a worker may not say becomes INTERNAL. */
export function runFailure(error: RunError, run: SidecarRun): AppError {
  // Python hands the reason back; when to try again and the metadata are known only here.
  if (run.lmFailure !== undefined && run.lmFailure.reason === error.reason) return run.lmFailure;
  const { reason, message, category, pythonType, traceback, retryable } = error;
  const details = { category, pythonType, traceback };
  if (!isReason(reason) || reason === 'INTERNAL' || reason === 'INVALID_REQUEST') {
    const cause = new Error(`the sidecar answered with ${reason}: ${message}`);
    return new AppError('INTERNAL', unexpectedMessage, {
      pythonType,
      traceback,
      cause,
      metadata: { error_id: randomUUID() },
    });
  }
  return new AppError(reason, message, { ...details, retryable });
}

/** True if a worker sent a run back before it had begun, so that another one may take it. */
export function isReturned(error: RunError): boolean {
  return (error.reason === 'SHUTTING_DOWN' || error.reason === 'QUEUE_FULL') && error.lmCalls === 0;
}

/** Turns the fault of a program that cannot be built into an error. */
export function moduleFailure(fault: ModuleFault): AppError {
  const reason = fault.reason === 'SIGNATURE_TYPE' ? 'SIGNATURE_TYPE' : 'MODULE_INVALID';
  return new AppError(reason, fault.message, { pythonType: fault.pythonType });
}

/** The worker whose end took runs with it. */
export type LostWorker = { readonly name: string; readonly pid: number; readonly isSolo: boolean };

/**
 * Ends a run whose worker died: it may have begun. Its metadata `lm_calls` says how often a model was asked; with 0 it has
 * left no trace outside, since workers reach models only through us. `repeat` = `alone` if it was one of many, any of which may have been
 * the cause, and nothing of it is outside that a repetition would contradict. Leaves a `worker_lost` span.
 */
export function loseRun(run: SidecarRun, worker: LostWorker, tracer: Tracer): void {
  if (run.ended) return;
  const attributes = { 'signet.worker': worker.name, 'process.pid': worker.pid, 'error.type': 'WORKER_LOST' };
  const startTime = new Date(run.createdTime.getTime() + (run.startedMs - run.createdMs));
  const span = tracer.startSpan('worker_lost', { attributes, startTime }, run.ctx.trace);
  span.setStatus({ code: SpanStatusCode.ERROR, message: 'WORKER_LOST' });
  span.end();
  const message = 'The worker that ran the program was lost';
  const metadata: Record<string, string> = { worker: worker.name, lm_calls: String(run.lmCalls) };
  if (!worker.isSolo && !run.hasEffects) metadata.repeat = 'alone';
  run.fail(new AppError('WORKER_LOST', message, { metadata, retryAfterMs: 1000 }));
}
