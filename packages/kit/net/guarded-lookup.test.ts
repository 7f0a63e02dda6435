import type { LookupAddress } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { createGuardedLookup, PrivateAddressError } from './guarded-lookup.ts';

const open = { address: '93.184.215.14', family: 4 };
const open6 = { address: '2606:2800:21f:cb07::1', family: 6 };
const inside = { address: '10.0.0.7', family: 4 };

describe('a guarded lookup', () => {
  it('hands on the addresses that it has checked, in the form that was asked for', async () => {
    expect(await look([open, open6], { all: true })).toEqual([open, open6]);
    expect(await look([open, open6], {})).toBe(open.address);
    expect(await look([open, open6], { family: 6 })).toBe(open6.address);
    expect(await look([open, open6], { family: 'IPv4', all: true })).toEqual([open]);
  });

  it.each([
    ['one of two addresses', [open, inside]],
    ['one of the other family', [open, { address: 'fd00::1', family: 6 }]],
    ['one that stands for another', [{ address: '::ffff:127.0.0.1', family: 6 }]],
    ['something that is no address', [{ address: 'elsewhere', family: 4 }]],
  ])('refuses a name for %s and says no address', async (_what, found) => {
    const error = await look(found, { family: 4 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(PrivateAddressError);
    expect(String(error)).not.toMatch(/10\.0|fd00|127/);
  });

  it('asks once for one connection', async () => {
    let asked = 0;
    const lookup = createGuardedLookup(async () => (asked++ === 0 ? [open] : [inside]));
    await new Promise<void>((resolve) => lookup('x.example.com', { all: true }, () => resolve()));
    expect(asked).toBe(1);
  });

  it('passes on that there is no such name', async () => {
    await expect(look([], {})).rejects.toMatchObject({ code: 'ENOTFOUND' });
    const failing = createGuardedLookup(async () => {
      throw Object.assign(new Error('later'), { code: 'EAI_AGAIN' });
    });
    const error = await new Promise((resolve) => failing('x.example.com', {}, resolve));
    expect(error).toMatchObject({ code: 'EAI_AGAIN' });
  });

  it('finds by itself what the system knows', async () => {
    const error = await new Promise((resolve) => createGuardedLookup()('localhost', { all: true }, resolve));
    expect(error).toBeInstanceOf(PrivateAddressError);
  });
});

function look(found: LookupAddress[], options: { all?: boolean; family?: 4 | 6 | 'IPv4' | 'IPv6' }) {
  const lookup = createGuardedLookup(async () => found);
  return new Promise<string | LookupAddress[]>((resolve, reject) => {
    lookup('x.example.com', options, (error, address) => (error === null ? resolve(address) : reject(error)));
  });
}
