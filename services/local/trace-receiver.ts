import { Server, ServerCredentials, type ServiceDefinition, status, type UntypedHandleCall } from '@grpc/grpc-js';
import { decodeTraceRequest, type Span } from './otlp.ts';

const MESSAGE_MAX_BYTES = 64 * 1024 * 1024;

/** A running receiver of traces. */
export type TraceReceiver = {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`, such as `http://127.0.0.1:4317`. */
  endpoint: string;
  /** The spans of one trace, or all of them, in the order of their start. A span that was sent twice is there once. */
  spans(traceId?: string): Span[];
  /** Waits until a trace fulfils a condition; gives its spans as they are when the time is over. */
  waitFor(traceId: string, isComplete: (spans: Span[]) => boolean, timeoutMs: number): Promise<Span[]>;
  /** Forgets what came so far. */
  clear(): void;
  close(): Promise<void>;
};

const bytes = (value: Buffer) => value;

const SERVICE: ServiceDefinition = {
  export: {
    path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
};

/** Serves OTLP's TraceService over gRPC on 127.0.0.1 (a free port unless one is given) and keeps every span in memory. */
export async function startTraceReceiver(port = 0): Promise<TraceReceiver> {
  const kept = new Map<string, Span>();
  const server = new Server({ 'grpc.max_receive_message_length': MESSAGE_MAX_BYTES });
  const handler: UntypedHandleCall = (
    call: { request: Buffer },
    done: (error: object | null, reply?: Buffer) => void,
  ) => {
    try {
      for (const span of decodeTraceRequest(call.request)) kept.set(`${span.traceId}/${span.spanId}`, span);
    } catch {
      return done({ code: status.INVALID_ARGUMENT, details: 'not an ExportTraceServiceRequest' });
    }
    return done(null, Buffer.alloc(0));
  };
  server.addService(SERVICE, { export: handler });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, actual) =>
      error ? reject(error) : resolve(actual),
    );
  });
  const spans = (traceId?: string) =>
    [...kept.values()].filter((span) => traceId === undefined || span.traceId === traceId).sort(byStart);
  return {
    endpoint: `http://127.0.0.1:${bound}`,
    spans,
    waitFor: async (traceId, isComplete, timeoutMs) => {
      const end = performance.now() + timeoutMs;
      while (!isComplete(spans(traceId)) && performance.now() < end)
        await new Promise((resolve) => setTimeout(resolve, 50));
      return spans(traceId);
    },
    clear: () => kept.clear(),
    close: async () => server.forceShutdown(),
  };
}

// Clocks are coarse: of two that began together, the one that encloses the other comes first.
function byStart(a: Span, b: Span): number {
  if (a.startNs !== b.startNs) return a.startNs < b.startNs ? -1 : 1;
  return a.endNs === b.endNs ? 0 : a.endNs > b.endNs ? -1 : 1;
}
