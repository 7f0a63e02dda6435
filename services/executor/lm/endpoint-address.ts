import { AppError } from '@signet/kit/error/app-error.ts';
import { urlFault } from '@signet/kit/net/private-address.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import { providerOfEndpoint } from './provider.ts';

/** Where the requests of an endpoint go. */
export type LmAddress = {
  readonly origin: string;
  /** The path of the endpoint's own address, without a slash at its end. */
  readonly basePath: string;
  readonly search: string;
  /** `host:port`, for messages and spans. */
  readonly host: string;
  readonly hostname: string;
  readonly port: number;
};

const known = new Map<string, LmAddress>();

/**
 * Finds where an endpoint stands; LM_NOT_CONFIGURED if its address is missing, cannot be one, or is a private one in any spelling that
 * it may not have.
 */
export function resolveEndpoint(endpoint: LmEndpoint): LmAddress {
  const { allowPrivate } = endpoint;
  const provider = providerOfEndpoint(endpoint);
  const isOwn = endpoint.model.startsWith(`${provider.name}/`) || !endpoint.model.includes('/');
  const base = endpoint.apiBase === '' && isOwn ? provider.base : endpoint.apiBase;
  const key = allowPrivate ? base : `public ${base}`;
  const seen = known.get(key);
  if (seen !== undefined) return seen;
  const address = parseBase(base, allowPrivate);
  if (known.size >= 1000) known.clear();
  known.set(key, address);
  return address;
}

/** The path and query of a request below an address. */
export function requestPath({ basePath, search }: LmAddress, path: (basePath: string) => string): string {
  const own = path(basePath);
  if (search === '') return own;
  return own.includes('?') ? `${own}&${search.slice(1)}` : `${own}${search}`;
}

function parseBase(base: string, allowPrivate: boolean): LmAddress {
  if (base === '') throw new AppError('LM_NOT_CONFIGURED', 'The language model has no address');
  const fault = urlFault(base, { allowPrivate });
  if (fault !== undefined) {
    throw new AppError('LM_NOT_CONFIGURED', `The language model's address ${fault.description}`, {
      metadata: { rule: fault.rule },
    });
  }
  const url = new URL(base);
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  return {
    origin: url.origin,
    basePath: url.pathname.replace(/\/+$/, ''),
    search: url.search,
    host: `${url.hostname}:${port}`,
    hostname: url.hostname,
    port,
  };
}
