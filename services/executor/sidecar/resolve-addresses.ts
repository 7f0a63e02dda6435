import { isIPv6 } from 'node:net';
import type { Address } from '@signet/kit/config/env.ts';
import { resolveReplicas } from '@signet/kit/grpc/replicas.ts';

/** Every address behind some, as `host:port`: a name without a record, or that fails to resolve, has none. */
export async function resolveAddresses(addresses: readonly Address[]): Promise<string[]> {
  const found = await resolveReplicas(addresses);
  return found.map(({ host, port }) => (isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`));
}

/** The address of a worker as we reach it: one that listens everywhere is at its supervisor's host. */
export function workerAddress(worker: string, supervisor: string): string {
  const port = worker.slice(worker.lastIndexOf(':') + 1);
  const everywhere = /^(?:0\.0\.0\.0|\[::\]):/.test(worker);
  return everywhere ? `${supervisor.slice(0, supervisor.lastIndexOf(':'))}:${port}` : worker;
}
