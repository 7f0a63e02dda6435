import type { Tracer } from '@opentelemetry/api';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { endSpan, SpanKind, startSpan } from '@signet/kit/telemetry/span.ts';
import { contextFromTraceparent, traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import type { LmAddress } from './endpoint-address.ts';
import type { LmCompletion, LmContext, LmRequest } from './language-model.ts';
import { modelName, providerName } from './request-body.ts';

/** The span of one call with all of its attempts, by OpenTelemetry's conventions for generative AI. */
export type ChatSpan = {
  /** What the endpoint is told; empty if there is no trace. */
  readonly traceparent: string;
  /** Notes that an attempt failed and another one follows. */
  retry(error: AppError, attempt: number): void;
  /** Ends it with what was used. */
  succeed(completion: LmCompletion): void;
  /** Ends it with why there is none. */
  fail(error: unknown): void;
};

/** Starts `chat <model>` below the asking span. Prompts, replies and keys are never attributes. */
export function startChatSpan(tracer: Tracer, request: LmRequest, address: LmAddress, ctx: LmContext): ChatSpan {
  const model = modelName(request.endpoint.model);
  const { span, context } = startSpan(
    tracer,
    `chat ${model}`,
    contextFromTraceparent(ctx.traceparent),
    SpanKind.CLIENT,
  );
  if (span.isRecording()) {
    span.setAttributes({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': providerName(request.endpoint.model),
      'gen_ai.request.model': model,
      'server.address': address.hostname,
      'server.port': address.port,
    });
    const { temperature, max_tokens: maxTokens } = request.options;
    if (typeof temperature === 'number') span.setAttribute('gen_ai.request.temperature', temperature);
    if (typeof maxTokens === 'number') span.setAttribute('gen_ai.request.max_tokens', maxTokens);
  }
  return {
    traceparent: traceparentOf(context),
    retry: (error, attempt) => void span.addEvent('retry', { 'error.type': error.reason, attempt }),
    succeed(completion) {
      if (span.isRecording()) {
        span.setAttributes({
          'gen_ai.usage.input_tokens': completion.promptTokens,
          'gen_ai.usage.output_tokens': completion.completionTokens,
          'gen_ai.response.finish_reasons': completion.finishReason === '' ? [] : [completion.finishReason],
        });
      }
      endSpan(span);
    },
    fail: (error) => endSpan(span, error),
  };
}
