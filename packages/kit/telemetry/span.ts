import {
  type Attributes,
  type Context,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { normalizeError } from '../error/normalize.ts';

export { SpanKind };

/** Starts a span below a context and gives both it and the context in which it is current. */
export function startSpan(
  tracer: Tracer,
  name: string,
  parent: Context,
  kind: SpanKind = SpanKind.INTERNAL,
  attributes?: Attributes,
): { span: Span; context: Context } {
  const span = tracer.startSpan(name, attributes === undefined ? { kind } : { kind, attributes }, parent);
  return { span, context: trace.setSpan(parent, span) };
}

/** Ends a span; an error marks it by its reason, never by a text that could hold a secret. */
export function endSpan(span: Span, error?: unknown): void {
  if (error !== undefined && span.isRecording()) {
    const { reason } = normalizeError(error);
    span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
    span.setAttribute('error.type', reason);
  }
  span.end();
}
