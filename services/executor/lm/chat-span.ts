import type { Tracer } from '@opentelemetry/api';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { endSpan, SpanKind, startSpan } from '@signet/kit/telemetry/span.ts';
import { contextFromTraceparent, traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import type { LmAddress } from './endpoint-address.ts';
import { genAi } from './gen-ai-names.ts';
import type { LmCompletion, LmContext, LmRequest } from './language-model.ts';
import { modelName } from './request-options.ts';

/** The span of one call with all of its attempts, by OpenTelemetry's conventions for generative AI. */
export type ChatSpan = {
  /** What the endpoint is told; empty if there is no trace. */
  readonly traceparent: string;
  /** Notes that an attempt failed and another one follows. */
  retry(error: AppError, attempt: number): void;
  /** Notes which options the endpoint was not told. */
  dropped(names: readonly string[]): void;
  /** Ends it with what was used, and what that cost in US dollars. */
  succeed(completion: LmCompletion, cost: number | undefined): void;
  /** Ends it with why there is none. */
  fail(error: unknown): void;
};

/** Starts `chat <model>` below the asking span. Prompts, replies and keys are never attributes. */
export function startChatSpan(
  tracer: Tracer,
  request: LmRequest,
  address: LmAddress,
  asking: { readonly ctx: LmContext; readonly fallbackOf: string },
): ChatSpan {
  const model = modelName(request.endpoint.model);
  const { span, context } = startSpan(
    tracer,
    `chat ${model}`,
    contextFromTraceparent(asking.ctx.traceparent),
    SpanKind.CLIENT,
  );
  if (span.isRecording()) {
    span.setAttributes({
      [genAi.operation]: 'chat',
      [genAi.provider]: providerWord(request.endpoint),
      [genAi.requestModel]: model,
      [genAi.serverAddress]: address.hostname,
      [genAi.serverPort]: address.port,
      [genAi.languageModel]: request.endpoint.slug,
    });
    if (asking.fallbackOf !== '') span.setAttribute(genAi.fallbackOf, asking.fallbackOf);
    const { temperature, max_tokens: maxTokens } = request.options;
    if (typeof temperature === 'number') span.setAttribute(genAi.temperature, temperature);
    if (typeof maxTokens === 'number') span.setAttribute(genAi.maxTokens, maxTokens);
  }
  return {
    traceparent: traceparentOf(context),
    retry: (error, attempt) => void span.addEvent('retry', { 'error.type': error.reason, attempt }),
    dropped: (names) => void (names.length > 0 && span.setAttribute(genAi.droppedOptions, [...names].slice(0, 20))),
    succeed(completion, cost) {
      if (span.isRecording()) {
        span.setAttributes({
          [genAi.inputTokens]: completion.promptTokens,
          [genAi.outputTokens]: completion.completionTokens,
          [genAi.finishReasons]: completion.finishReason === '' ? [] : [completion.finishReason],
        });
        if (cost !== undefined) span.setAttribute(genAi.cost, cost);
      }
      endSpan(span);
    },
    fail: (error) => endSpan(span, error),
  };
}

function providerWord({ provider, model }: LmRequest['endpoint']): string {
  if (provider === 'gemini') return 'gcp.gemini';
  const slash = model.indexOf('/');
  // Many speak OpenAI's form; the model's name tells who they are.
  return provider === 'openai' && slash > 0 ? model.slice(0, slash) : provider;
}
