import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type Address, formatAddress } from '@signet/kit/config/env.ts';

/** Every address behind a name, as `host:port`: a name without a record, or that fails to resolve, has none. */
export async function resolveAddresses(address: Address): Promise<string[]> {
  if (isIP(address.host) !== 0) return [formatAddress(address)];
  try {
    const found = await lookup(address.host, { all: true });
    return [...new Set(found.map(({ address: host }) => formatAddress({ host, port: address.port })))];
  } catch {
    return [];
  }
}

/** The address of a worker as we reach it: one that listens everywhere is at its supervisor's host. */
export function workerAddress(worker: string, supervisor: string): string {
  const port = worker.slice(worker.lastIndexOf(':') + 1);
  const everywhere = /^(?:0\.0\.0\.0|\[::\]):/.test(worker);
  return everywhere ? `${supervisor.slice(0, supervisor.lastIndexOf(':'))}:${port}` : worker;
}
