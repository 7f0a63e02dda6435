import { status as grpcStatus, Metadata } from '@grpc/grpc-js';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Cancel, StreamListener, UpstreamFailure } from './upstream.ts';

/** A listener whose own failure ends its call, and never the process: what an owner sends is not ours to trust. */
export function carefulListener(listener: StreamListener, cancel: Cancel): StreamListener {
  let broken: UpstreamFailure | undefined;
  return {
    headers: (headers) => listener.headers(headers),
    message(bytes) {
      if (broken !== undefined) return;
      try {
        listener.message(bytes);
      } catch (thrown) {
        const raw = { code: grpcStatus.INTERNAL, details: '', metadata: new Metadata() };
        broken = { error: normalizeError(thrown), raw };
        cancel();
      }
    },
    end: (failure) => listener.end(broken ?? failure),
  };
}
