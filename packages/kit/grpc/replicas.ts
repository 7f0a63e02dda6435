import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type ChannelOptions, experimental, status } from '@grpc/grpc-js';
import { type Address, formatAddress, formatAddresses, parseAddresses } from '../config/env.ts';

const scheme = 'signet';
const lookEveryMs = 1_000;

/** What grpc-js dials to reach all replicas behind `HOST:PORT,…`; a name may stand for several, and is looked up every second. */
export function replicaTarget(addresses: string): string {
  return `${scheme}:${addresses}`;
}

/** Options of a channel that shares its calls among replicas and is back soon at one that came back. */
export const replicaOptions = {
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
  'grpc.service_config_disable_resolution': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
} as const satisfies ChannelOptions;

/** How often, and how many milliseconds apart, a call is tried again that found no replica: about as long as one takes to come back. */
export const tryAgain = { timesMax: 20, afterMs: 50 } as const;

/** Whether a call that failed was never sent, since no replica was connected: whoever tries again repeats nothing. */
export function wasNeverSent(failure: { readonly code: number; readonly details: string }): boolean {
  return failure.code === status.UNAVAILABLE && /^(round_robin: )?No connection established/.test(failure.details);
}

// grpc-js looks a name up again only when a connection breaks: it would never meet a replica that was added.
class ReplicaResolver implements experimental.Resolver {
  private readonly listener: experimental.ResolverListener;
  private readonly addresses: readonly Address[];
  private timer: NodeJS.Timeout | undefined;
  private looking: symbol | undefined;
  private told = '';

  constructor(target: experimental.GrpcUri, listener: experimental.ResolverListener) {
    this.addresses = parseAddresses(target.path) ?? [];
    this.listener = listener;
  }

  updateResolution(): void {
    if (this.looking === undefined) void this.look();
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.looking = undefined;
    this.told = '';
  }

  static getDefaultAuthority(target: experimental.GrpcUri): string {
    return target.path.split(',')[0] ?? '';
  }

  private async look(): Promise<void> {
    clearTimeout(this.timer);
    const look = Symbol();
    this.looking = look;
    const found = await resolveReplicas(this.addresses);
    // It was destroyed, or begun again, in the meantime.
    if (this.looking !== look) return;
    this.looking = undefined;
    this.tell(found);
    if (!this.addresses.every(isNumeric)) this.timer = setTimeout(() => void this.look(), lookEveryMs).unref();
  }

  private tell(found: readonly experimental.SubchannelAddress[]): void {
    const text = JSON.stringify(found);
    // A name that is not known any more may be known again soon; who was there last is the best guess.
    if (text === this.told || (found.length === 0 && this.told !== '')) return;
    if (found.length === 0) {
      const error = { code: status.UNAVAILABLE, details: `${formatAddresses(this.addresses)} does not resolve` };
      this.listener(experimental.statusOrFromError(error), {}, null, '');
      return;
    }
    this.told = text;
    const endpoints = found.map((address) => ({ addresses: [address] }));
    this.listener(experimental.statusOrFromValue(endpoints), {}, null, '');
  }
}

experimental.registerResolver(scheme, ReplicaResolver);

/** Every address behind some, in a stable order, IPv6 without brackets; names that do not resolve have none. */
export async function resolveReplicas(addresses: readonly Address[]): Promise<Address[]> {
  const found = await Promise.all(
    addresses.map(async ({ host, port }) => {
      const bare = host.replace(/^\[|\]$/g, '');
      if (isNumeric({ host, port })) return [{ host: bare, port }];
      const entries = await lookup(bare, { all: true }).catch(() => []);
      return entries.map(({ address }) => ({ host: address, port }));
    }),
  );
  const unique = new Map(found.flat().map((one) => [formatAddress(one), one]));
  return [...unique.keys()].sort().map((key) => unique.get(key)!);
}

function isNumeric({ host }: Address): boolean {
  return isIP(host.replace(/^\[|\]$/g, '')) !== 0;
}
