import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Why an address may not be called: a word for programs and a sentence for people. Neither quotes the address. */
export type AddressFault = {
  readonly rule: 'URL' | 'SCHEME' | 'USERINFO' | 'FRAGMENT' | 'PRIVATE_NAME' | 'PRIVATE_ADDRESS';
  readonly description: string;
};

// Names that no public resolver knows, or that clouds and clusters answer with something inside.
const insideSuffixes = /(?:^|\.)(?:localhost|localdomain|local|internal|intranet|lan|corp|home|private|home\.arpa)$/;
// Azure's wire server stands at a public address and answers from within.
const insideAddresses = new Set(['168.63.129.16']);
const kinds: Readonly<Record<string, string>> = {
  unspecified: 'unspecified',
  broadcast: 'broadcast',
  multicast: 'multicast',
  linkLocal: 'link-local',
  loopback: 'loopback',
  carrierGradeNat: 'carrier-grade NAT',
  private: 'private',
  uniqueLocal: 'unique-local',
};

/**
 * Looks at an http or https URL as a caller spelled it; undefined if nothing in the spelling forbids calling it. What its name leads
 * to is for whoever connects to check (`createGuardedLookup`). With `allowPrivate` any host will do; the rest of the rules stay.
 */
export function urlFault(text: string, options: { readonly allowPrivate: boolean }): AddressFault | undefined {
  const url = URL.parse(text);
  // A parser drops these without a word, and what is checked must be what was read.
  if (url === null || /[\s\p{Cc}\\]/u.test(text)) return { rule: 'URL', description: 'must be an http or https URL' };
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return { rule: 'SCHEME', description: 'must be an http or https URL' };
  }
  if (url.username !== '' || url.password !== '' || /^[a-z]+:\/*[^/?#]*@/i.test(text)) {
    return { rule: 'USERINFO', description: 'must not carry a user name or a password' };
  }
  if (url.hash !== '') return { rule: 'FRAGMENT', description: 'must not have a fragment' };
  return options.allowPrivate ? undefined : hostFault(url.hostname);
}

/** Looks at a host in any spelling that a URL may have (names, IPv4 in its odd forms, IPv6 with or without brackets). */
export function hostFault(host: string): AddressFault | undefined {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  if (bare.includes(':')) return addressFault(bare);
  // The one parser that knows decimal, octal, hexadecimal, short, escaped and full-width forms as browsers and fetch do.
  const url = /[/?#@\\\s]/.test(bare) ? null : URL.parse(`http://${bare}/`);
  if (url === null) return { rule: 'URL', description: 'must name a host' };
  const name = url.hostname.replace(/\.$/, '');
  if (ipaddr.IPv4.isValidFourPartDecimal(name)) return addressFault(name);
  if (insideSuffixes.test(name) || !name.includes('.')) {
    return { rule: 'PRIVATE_NAME', description: 'must not be a name of this machine or its network' };
  }
  return undefined;
}

/** Looks at one IP address in its plain form, as a resolver gives it; anything that is not public is a fault. */
export function addressFault(address: string): AddressFault | undefined {
  // Stricter than the library, which reads short and octal forms in a way of its own.
  if (isIP(address) === 0 || address.includes('%')) return unfit('unreadable');
  const parsed = ipaddr.parse(address);
  return parsed instanceof ipaddr.IPv4 ? faultOfV4(parsed) : faultOfV6(parsed as ipaddr.IPv6);
}

function faultOfV4(address: ipaddr.IPv4): AddressFault | undefined {
  if (insideAddresses.has(address.toString())) return unfit('link-local');
  const range = address.range();
  return range === 'unicast' ? undefined : unfit(kinds[range] ?? 'reserved');
}

function faultOfV6(address: ipaddr.IPv6): AddressFault | undefined {
  const range = address.range();
  // Both stand for an IPv4 address: the first inside the machine, the second behind the translator of a network without IPv4.
  if (range === 'ipv4Mapped' || range === 'rfc6052') {
    return faultOfV4(new ipaddr.IPv4(address.toByteArray().slice(12)));
  }
  if (range !== 'unicast') return unfit(kinds[range] ?? 'reserved');
  // Beside 2000::/3 nothing is public: IPv4-compatible, site-local and what was never given out.
  return address.parts[0]! >> 13 === 1 ? undefined : unfit('reserved');
}

function unfit(kind: string): AddressFault {
  return { rule: 'PRIVATE_ADDRESS', description: `must not be a private address (${kind})` };
}
