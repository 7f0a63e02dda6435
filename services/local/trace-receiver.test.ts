import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeTraceRequest, type Span } from './otlp.ts';
import { printTrace } from './print-trace.ts';
import { startTraceReceiver, type TraceReceiver } from './trace-receiver.ts';

let receiver: TraceReceiver;
beforeEach(async () => {
  receiver = await startTraceReceiver();
});
afterEach(() => receiver.close());

describe('trace receiver', () => {
  it('keeps what the exporter of the services sends, to the last attribute', async () => {
    const exporter = new OTLPTraceExporter({ url: receiver.endpoint });
    const provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': 'signet-test' }),
      spanProcessors: [new BatchSpanProcessor({ exporter })],
    });
    const tracer = provider.getTracer('a-scope');
    const root = tracer.startSpan('root', {
      kind: SpanKind.SERVER,
      attributes: { text: 'é', whole: 7, part: 0.5, yes: true, list: ['a', 'b'] },
    });
    const child = tracer.startSpan(
      'child',
      { kind: SpanKind.CLIENT, links: [{ context: root.spanContext() }] },
      trace.setSpan(context.active(), root),
    );
    child.addEvent('happened', { n: 1 });
    child.setStatus({ code: SpanStatusCode.ERROR, message: 'it broke' });
    child.end();
    root.end();
    await provider.shutdown();

    const { traceId, spanId } = root.spanContext();
    const found = await receiver.waitFor(traceId, (spans) => spans.length === 2, 5_000);
    const spans = ['root', 'child'].map((name) => found.find((span) => span.name === name));
    expect(spans.map((span) => [span?.name, span?.kind, span?.service, span?.scope, span?.parentSpanId])).toEqual([
      ['root', 'server', 'signet-test', 'a-scope', ''],
      ['child', 'client', 'signet-test', 'a-scope', spanId],
    ]);
    expect(spans[0]?.attributes).toEqual({ text: 'é', whole: 7n, part: 0.5, yes: true, list: ['a', 'b'] });
    expect(spans[1]?.status).toEqual({ code: 'error', message: 'it broke' });
    expect(spans[1]?.links).toEqual([{ traceId, spanId }]);
    expect(spans[1]?.events).toMatchObject([{ name: 'happened', attributes: { n: 1n } }]);
    expect(spans.every((span) => span !== undefined && span.startNs > 0n && span.endNs >= span.startNs)).toBe(true);
    receiver.clear();
    expect(receiver.spans()).toEqual([]);
  });

  it('gives what came when the time is over', async () => {
    expect(await receiver.waitFor('0'.repeat(32), () => false, 100)).toEqual([]);
  });

  it('refuses bytes that are no request', () => {
    expect(() => decodeTraceRequest(Buffer.from([0x0a, 0xff, 0x01]))).toThrow();
    expect(() => decodeTraceRequest(Buffer.from('hello'))).toThrow();
    expect(decodeTraceRequest(Buffer.alloc(0))).toEqual([]);
  });
});

describe('printed trace', () => {
  const span = (spanId: string, parentSpanId: string, startMs: number, more: Partial<Span> = {}): Span => ({
    ...{ traceId: 't', spanId, parentSpanId, name: spanId, kind: 'internal', attributes: {}, events: [], links: [] },
    ...{ status: { code: 'unset', message: '' }, service: 'svc', resource: {}, scope: '' },
    ...{ startNs: BigInt(startMs) * 1_000_000n, endNs: BigInt(startMs + 5) * 1_000_000n },
    ...more,
  });

  it('is a tree in the order of starts, with starts and durations', () => {
    const spans = [
      span('b', 'root', 3),
      span('root', 'elsewhere', 1),
      span('a', 'root', 2, { status: { code: 'error', message: '' } }),
      span('deep', 'a', 2),
    ];
    expect(printTrace(spans)).toBe(
      [
        'root        svc     +0.0 ms      5.0 ms',
        '├─ a        svc     +1.0 ms      5.0 ms  ERROR',
        '│  └─ deep  svc     +1.0 ms      5.0 ms',
        '└─ b        svc     +2.0 ms      5.0 ms',
      ].join('\n'),
    );
  });

  it('ends on a circle and on nothing', () => {
    expect(printTrace([span('x', 'y', 1), span('y', 'x', 2)])).toBe('');
    expect(printTrace([])).toBe('');
  });
});
