import { ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { IdsOnlyTracer } from './ids-only-tracer.ts';
import { contextFromTraceparent, traceparentOf } from './traceparent.ts';

const tracer = new IdsOnlyTracer();

test('a span has ids of its own, below nothing or in the trace of what it stands below', () => {
  const root = tracer.startSpan('root', {}, ROOT_CONTEXT);
  const child = tracer.startSpan('child', {}, trace.setSpan(ROOT_CONTEXT, root));
  const again = tracer.startSpan('child', { root: true }, trace.setSpan(ROOT_CONTEXT, root));
  expect(root.spanContext().traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(root.spanContext().spanId).toMatch(/^[0-9a-f]{16}$/);
  expect(child.spanContext().traceId).toBe(root.spanContext().traceId);
  expect(child.spanContext().spanId).not.toBe(root.spanContext().spanId);
  expect(again.spanContext().traceId).not.toBe(root.spanContext().traceId);
  expect(root.isRecording()).toBe(false);
});

test('the trace of a caller goes on, unsampled, since nobody takes the spans', () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const above = contextFromTraceparent(`00-${traceId}-b7ad6b7169203331-01`);
  const span = tracer.startSpan('below', {}, above);
  expect(traceparentOf(trace.setSpan(above, span))).toBe(`00-${traceId}-${span.spanContext().spanId}-00`);
});

test('ids do not come twice', () => {
  const ids = Array.from({ length: 5_000 }, () => tracer.startSpan('x', {}, ROOT_CONTEXT).spanContext());
  expect(new Set(ids.map(({ spanId }) => spanId)).size).toBe(5_000);
  expect(new Set(ids.map(({ traceId }) => traceId)).size).toBe(5_000);
});

test('an active span is handed to what runs below it', () => {
  expect(tracer.startActiveSpan('x', (span: Span) => span.spanContext().spanId)).toMatch(/^[0-9a-f]{16}$/);
});
