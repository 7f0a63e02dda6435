import { ROOT_CONTEXT } from '@opentelemetry/api';
import type { Role } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { describe, expect, test } from 'vitest';
import { createKeyRing, type KnownKey } from './key.ts';

const bearer = 'Bearer sgn_0123456789012345678901234567';

function rig(find: (key: string) => KnownKey | AppError) {
  let ms = 1_000_000;
  let asked = 0;
  const clock = { now: () => new Date(ms), steadyMs: () => ms };
  const ring = createKeyRing(async (key) => {
    asked++;
    const found = find(key);
    if (found instanceof AppError) throw found;
    return found;
  }, clock);
  return {
    ring,
    asked: () => asked,
    pass: (by: number): void => {
      ms += by;
    },
  };
}

const known = (role: Role, expireMs?: number): KnownKey => ({ principal: { keyId: 'k', name: 'n', role }, expireMs });
const refusal = (reason: string) => expect.objectContaining({ reason });

describe('the key ring', () => {
  test('asks once for many calls at a time and again within 5 s', async () => {
    const { ring, asked, pass } = rig(() => known('viewer'));
    await Promise.all(Array.from({ length: 50 }, () => ring.resolve(bearer, ROOT_CONTEXT)));
    expect(asked()).toBe(1);
    expect(ring.known(bearer)).toMatchObject({ role: 'viewer' });
    pass(4999);
    expect(ring.known(bearer)).toBeUndefined();
    await ring.resolve(bearer, ROOT_CONTEXT);
    expect(asked()).toBe(2);
  });

  test('ends a revoked key within 5 s', async () => {
    let revoked = false;
    const { ring, pass } = rig(() => (revoked ? new AppError('KEY_INVALID', 'no') : known('viewer')));
    await ring.resolve(bearer, ROOT_CONTEXT);
    revoked = true;
    pass(4999);
    await expect(ring.resolve(bearer, ROOT_CONTEXT)).rejects.toThrow(refusal('KEY_INVALID'));
  });

  test('remembers a refusal for a second at most', async () => {
    let good = false;
    const { ring, asked, pass } = rig(() => (good ? known('viewer') : new AppError('KEY_INVALID', 'no')));
    await expect(ring.resolve(bearer, ROOT_CONTEXT)).rejects.toThrow(refusal('KEY_INVALID'));
    expect(() => ring.known(bearer)).toThrow(refusal('KEY_INVALID'));
    await expect(ring.resolve(bearer, ROOT_CONTEXT)).rejects.toThrow(refusal('KEY_INVALID'));
    expect(asked()).toBe(1);
    good = true;
    pass(1000);
    await expect(ring.resolve(bearer, ROOT_CONTEXT)).resolves.toMatchObject({ role: 'viewer' });
  });

  test('refuses a key that expires while it is remembered', async () => {
    const { ring, pass } = rig(() => known('viewer', 1_002_000));
    await ring.resolve(bearer, ROOT_CONTEXT);
    pass(2000);
    expect(() => ring.known(bearer)).toThrow(refusal('KEY_EXPIRED'));
  });

  test('does not remember that the registry was away', async () => {
    let away = true;
    const { ring } = rig(() => (away ? new AppError('SERVICE_UNAVAILABLE', 'away') : known('viewer')));
    await expect(ring.resolve(bearer, ROOT_CONTEXT)).rejects.toThrow(refusal('SERVICE_UNAVAILABLE'));
    away = false;
    await expect(ring.resolve(bearer, ROOT_CONTEXT)).resolves.toMatchObject({ role: 'viewer' });
  });

  test.each([
    [undefined, 'KEY_MISSING'],
    ['', 'KEY_MISSING'],
    ['Basic dXNlcg==', 'KEY_INVALID'],
    ['Bearer', 'KEY_INVALID'],
    ['Bearer ', 'KEY_INVALID'],
    [`Bearer ${'x'.repeat(600)}`, 'KEY_INVALID'],
    ['Bearer \u00e9\u00e9\u00e9', 'KEY_INVALID'],
  ])('refuses %s without asking', async (authorization, reason) => {
    const { ring, asked } = rig(() => known('admin'));
    await expect(ring.resolve(authorization, ROOT_CONTEXT)).rejects.toThrow(refusal(reason));
    expect(asked()).toBe(0);
  });
});
