import { type Context, isSpanContextValid, ROOT_CONTEXT, type SpanContext, trace } from '@opentelemetry/api';

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Reads a W3C `traceparent` as the parent of new spans; whatever is not one starts a new trace. */
export function contextFromTraceparent(value: string | undefined): Context {
  const match = value === undefined ? null : form.exec(value);
  if (match === null || match[1] === 'ff' || (match[1] === '00' && match[5] !== undefined)) return ROOT_CONTEXT;
  const spanContext: SpanContext = {
    traceId: match[2]!,
    spanId: match[3]!,
    traceFlags: Number.parseInt(match[4]!, 16) & 1,
    isRemote: true,
  };
  return isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
}

/** Writes the `traceparent` of the span in a context; empty if it has none. */
export function traceparentOf(context: Context): string {
  const spanContext = trace.getSpanContext(context);
  if (spanContext === undefined || !isSpanContextValid(spanContext)) return '';
  return `00-${spanContext.traceId}-${spanContext.spanId}-${spanContext.traceFlags & 1 ? '01' : '00'}`;
}

/** The trace of the span in a context, 32 hex digits; empty if it has none. */
export function traceIdOf(context: Context): string {
  return trace.getSpanContext(context)?.traceId ?? '';
}
