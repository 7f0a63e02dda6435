import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import type { LmCall, LmReply } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { isContextExceeded } from '../lm/failure.ts';
import type { LanguageModel } from '../lm/language-model.ts';
import type { SidecarRun } from './sidecar-run.ts';

/** Asks the language model for what a worker wants to know. Never throws: a failure is an answer too. */
export async function answerLmCall(lm: LanguageModel, run: SidecarRun, call: LmCall): Promise<LmReply> {
  run.lmCallsUnderWay += 1;
  try {
    return await complete(lm, run, call);
  } catch (error) {
    const failure = normalizeError(error);
    run.lmFailure = failure;
    const { reason, message, retryable, retryAfterMs } = failure;
    const contextExceeded = isContextExceeded(failure);
    const value = { reason, message, retryable, retryAfterMs: BigInt(Math.ceil(retryAfterMs ?? 0)), contextExceeded };
    return { run: call.run, call: call.call, outcome: { $case: 'failure', value } };
  } finally {
    run.lmCallsUnderWay -= 1;
  }
}

async function complete(lm: LanguageModel, run: SidecarRun, call: LmCall): Promise<LmReply> {
  const { lm: endpoint, maxRetries } = run.input;
  if (endpoint === undefined) throw new AppError('LM_NOT_CONFIGURED', 'The program has no language model');
  const { onText, trace, deadlineMs, lmCalls } = run.ctx;
  const { predictor, messages, outputFields, promptAdapter } = call;
  run.lmCalls += 1;
  const request = { endpoint, messages, options: optionsOf(call), outputFields, promptAdapter, maxRetries };
  const completion = await lm.complete(request, {
    signal: run.signal,
    deadlineMs,
    traceparent: call.traceparent === '' ? traceparentOf(trace) : call.traceparent,
    onCall: lmCalls?.onCall,
    recall: lmCalls?.recall,
    onText:
      onText &&
      ((shown) => {
        run.hasEffects = true;
        onText({ predictor, ...shown });
      }),
  });
  run.count(completion);
  const { text, streamed, promptTokens, completionTokens, finishReason } = completion;
  const value = {
    text,
    streamed,
    promptTokens: BigInt(promptTokens),
    completionTokens: BigInt(completionTokens),
    finishReason,
  };
  return { run: call.run, call: call.call, outcome: { $case: 'completion', value } };
}

function optionsOf(call: LmCall): Record<string, unknown> {
  if (call.optionsJson.length === 0) return {};
  const options: unknown = JSON.parse(call.optionsJson.toString());
  return typeof options === 'object' && options !== null ? { ...options } : {};
}
