import { status as grpcStatus } from '@grpc/grpc-js';
import type { Attributes, Meter } from '@opentelemetry/api';
import type { AppError } from '../error/app-error.ts';
import { reasons } from '../error/reasons.ts';

/** What OpenTelemetry's conventions say of durations of calls, in seconds. */
const boundariesS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const httpMethods: ReadonlySet<string> = new Set('GET HEAD POST PUT PATCH DELETE OPTIONS CONNECT TRACE'.split(' '));

/** Times calls that a gRPC server of ours answered. */
export type RpcDurations = {
  /** `method` is `package.Service/Method`. */
  record(durationMs: number, method: string, error?: AppError): void;
};

/** Times requests that an HTTP server of ours answered. */
export type HttpDurations = {
  /** `route` is the template of the path; undefined if no route was found. */
  record(durationMs: number, request: { method: string; status: number; route?: string | undefined }): void;
};

/** Makes `rpc.server.call.duration` by the conventions of RPC metrics; `error.type` is our own reason. */
export function createRpcDurations(meter: Meter): RpcDurations {
  const histogram = meter.createHistogram('rpc.server.call.duration', {
    unit: 's',
    description: 'How long calls took that this server answered',
    advice: { explicitBucketBoundaries: boundariesS },
  });
  const known = new Map<string, Attributes>();
  return {
    record(durationMs, method, error) {
      const key = `${method} ${error?.reason ?? ''}`;
      let attributes = known.get(key);
      if (attributes === undefined) {
        const code = error === undefined ? grpcStatus.OK : reasons[error.reason].code;
        attributes = {
          'rpc.system.name': 'grpc',
          'rpc.method': method,
          'rpc.response.status_code': grpcStatus[code]!,
          ...(error === undefined ? {} : { 'error.type': error.reason }),
        };
        known.set(key, attributes);
      }
      histogram.record(durationMs / 1000, attributes);
    },
  };
}

/** Makes `http.server.request.duration` by the conventions of HTTP metrics. */
export function createHttpDurations(meter: Meter): HttpDurations {
  const histogram = meter.createHistogram('http.server.request.duration', {
    unit: 's',
    description: 'How long requests took that this server answered',
    advice: { explicitBucketBoundaries: boundariesS },
  });
  const known = new Map<string, Attributes>();
  return {
    record(durationMs, { method, status, route }) {
      const key = `${method} ${status} ${route ?? ''}`;
      let attributes = known.get(key);
      if (attributes === undefined) {
        attributes = {
          'url.scheme': 'http',
          'http.request.method': httpMethods.has(method) ? method : '_OTHER',
          'http.response.status_code': status,
          ...(route === undefined ? {} : { 'http.route': route }),
          ...(status >= 500 ? { 'error.type': String(status) } : {}),
        };
        known.set(key, attributes);
      }
      histogram.record(durationMs / 1000, attributes);
    },
  };
}
