import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { addressFault } from './private-address.ts';

/** Finds all addresses of a name. */
export type Resolver = (hostname: string) => Promise<readonly LookupAddress[]>;

/** What a connection fails with when its name leads to a private address. Names neither the address nor the name. */
export class PrivateAddressError extends Error {
  readonly code = 'PRIVATE_ADDRESS';

  constructor() {
    super('the name leads to a private address');
    this.name = 'PrivateAddressError';
  }
}

/**
 * Makes a `lookup` for sockets that resolves once, refuses a name of which any address is not public, and hands on the very addresses
 * that it has checked: no second answer can put another in their place. Sockets to literal addresses never ask it.
 */
export function createGuardedLookup(resolve: Resolver = resolveBySystem): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then(
      (found) => {
        const fit = found.filter(({ family }) => !options.family || isFamily(family, options.family));
        if (found.some(({ address }) => addressFault(address) !== undefined)) callback(new PrivateAddressError(), '');
        else if (fit.length === 0) callback(notFound(hostname), '');
        else if (options.all === true) callback(null, [...fit]);
        else callback(null, fit[0]!.address, fit[0]!.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };
}

function isFamily(family: number, wanted: number | 'IPv4' | 'IPv6'): boolean {
  return family === wanted || `IPv${family}` === wanted;
}

function notFound(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`no address for ${hostname}`), { code: 'ENOTFOUND' });
}

function resolveBySystem(hostname: string): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(hostname, { all: true }, (error, found) => (error === null ? resolve(found) : reject(error)));
  });
}
