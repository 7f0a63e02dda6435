import { randomFillSync } from 'node:crypto';
import {
  type Context,
  context as contextApi,
  isSpanContextValid,
  type Span,
  type SpanOptions,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';

const pool = Buffer.allocUnsafe(4_096);
let poolOffset = pool.length;

/** A tracer for a process whose spans nobody takes: a span carries its ids, which go on to others, and records nothing. */
export class IdsOnlyTracer implements Tracer {
  startSpan(_name: string, options: SpanOptions = {}, context: Context = contextApi.active()): Span {
    const above = options.root === true ? undefined : trace.getSpanContext(context);
    const isBelow = above !== undefined && isSpanContextValid(above);
    const ids = { traceId: isBelow ? above.traceId : randomId(16), spanId: randomId(8), traceFlags: TraceFlags.NONE };
    return trace.wrapSpanContext(isBelow && above.traceState ? { ...ids, traceState: above.traceState } : ids);
  }

  startActiveSpan<F extends (span: Span) => ReturnType<F>>(name: string, ...more: unknown[]): ReturnType<F> {
    const run = more.at(-1) as F;
    const [options, context = contextApi.active()] = more.slice(0, -1) as [SpanOptions?, Context?];
    const span = this.startSpan(name, options, context);
    return contextApi.with(trace.setSpan(context, span), run, undefined, span);
  }
}

// An id of zeros alone is none; that it comes up is less likely than a broken machine.
function randomId(bytes: 8 | 16): string {
  if (poolOffset + bytes > pool.length) {
    randomFillSync(pool);
    poolOffset = 0;
  }
  poolOffset += bytes;
  return pool.toString('hex', poolOffset - bytes, poolOffset);
}
