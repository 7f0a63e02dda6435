import { createHttpClient, type HttpClient } from '../support/http.ts';
import type { Signet } from './signet.ts';

/** Opens a client of the product's HTTP door. */
export function clientOf({ doors }: Signet): HttpClient {
  const { address, headers } = doors.json;
  return createHttpClient(address.replace('http://', ''), (headers.authorization ?? '').replace('Bearer ', ''));
}

/** The slug of the product's program. */
export function slugOf({ doors }: Signet): string {
  return /^\/v1\/programs\/([^:]+):/.exec(doors.json.path)?.[1] ?? '';
}

/** The median of what so many turns of some work take, in milliseconds, after two turns that do not count. */
export async function medianMs(turns: number, work: () => Promise<unknown>): Promise<number> {
  const took: number[] = [];
  for (let turn = -2; turn < turns; turn += 1) {
    const startMs = performance.now();
    await work();
    if (turn >= 0) took.push(performance.now() - startMs);
  }
  return took.toSorted((a, b) => a - b)[turns >> 1] ?? 0;
}
