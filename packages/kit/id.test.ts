import { expect, it } from 'vitest';
import { isId, newId } from './id.ts';

it('makes version 7 UUIDs that sort in the order in which they were made', () => {
  const ids = Array.from({ length: 10_000 }, () => newId());
  expect(ids.every((id) => isId(id) && id[14] === '7' && '89ab'.includes(id[19]!))).toBe(true);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
});

it('carries the millisecond in its first 48 bits', () => {
  const at = Date.now() + 60_000;
  expect(Number.parseInt(newId(at).replace('-', '').slice(0, 12), 16)).toBe(at);
});

it.each(['', 'x', '01A2009B-0755-71F6-82BA-65B18B68D767', "01a2009b-0755-71f6-82ba-65b18b68d767'"])(
  'does not take %j for an id',
  (text) => {
    expect(isId(text)).toBe(false);
  },
);
