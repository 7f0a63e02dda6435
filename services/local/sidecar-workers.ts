import { credentials, Metadata } from '@grpc/grpc-js';
import { SidecarServiceClient } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

const POLL_MS = 1_000;

/** Asks a sidecar each second which worker processes it has and tells when they change; gives the function that ends it. */
export function watchSidecarWorkers(address: string, token: string, onChange: (pids: number[]) => void): () => void {
  const client = new SidecarServiceClient(address, credentials.createInsecure(), {
    'grpc.max_reconnect_backoff_ms': 2_000,
  });
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  let known = '';
  let timer: NodeJS.Timeout;
  let ended = false;
  const ask = () => {
    client.getPool({ soloWaiting: 0 }, metadata, { deadline: Date.now() + 2 * POLL_MS }, (error, pool) => {
      if (ended) return;
      const pids = error ? [] : pool.workers.map((worker) => worker.pid).sort((a, b) => a - b);
      if (pids.join() !== known) {
        known = pids.join();
        onChange(pids);
      }
      timer = setTimeout(ask, POLL_MS);
    });
  };
  timer = setTimeout(ask, POLL_MS / 5);
  return () => {
    ended = true;
    clearTimeout(timer);
    client.close();
  };
}
