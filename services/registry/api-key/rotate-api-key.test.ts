import { CreateApiKeyRequest } from '@signet/proto/gen/signet/v1/api_key_service.ts';
import { describe, expect, it } from 'vitest';
import { apiKeys, inner, refusal } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';
import { adminKeyId } from './api-key.ts';

const registry = useTestRegistry();

const create = async (expireTime?: Date) => {
  const request = CreateApiKeyRequest.fromPartial({ name: 'rotated', role: 2, expireTime });
  const { apiKey, secret } = await registry.call(apiKeys.createApiKey, request);
  return { id: apiKey!.id, secret };
};
const rotate = (apiKey: string, overlapSeconds = 0, requestId = '') =>
  registry.call(apiKeys.rotateApiKey, { apiKey, overlapSeconds, requestId });
const authenticate = (key: string) => registry.call(inner.authenticateKey, { key });
const reasonOf = async (call: Promise<unknown>) => (await refusal(call)).reason;

describe('rotating a key', () => {
  it('ends the former secret at once unless an overlap is asked for', async () => {
    const { id, secret } = await create();
    const next = await rotate(id);
    expect(next.secret).not.toBe(secret);
    expect(next.apiKey).toMatchObject({ id, prefix: next.secret.slice(0, 12), formerUntil: undefined });
    expect(next.apiKey?.rotateTime).toBeInstanceOf(Date);
    expect((await authenticate(next.secret)).keyId).toBe(id);
    expect(await reasonOf(authenticate(secret))).toBe('KEY_INVALID');
  });

  it('lets both secrets in during the overlap, and the former one no longer than the key itself', async () => {
    const expireTime = new Date(Date.now() + 60_000);
    const { id, secret } = await create(expireTime);
    const next = await rotate(id, 3600);
    expect((await authenticate(next.secret)).expireTime).toEqual(expireTime);
    expect((await authenticate(secret)).expireTime).toEqual(expireTime);
    await registry.sql.query(`update registry.api_keys set former_until = now() - interval '1 ms' where id = $1`, [id]);
    expect(await reasonOf(authenticate(secret))).toBe('KEY_EXPIRED');
    expect((await authenticate(next.secret)).keyId).toBe(id);
  });

  it('knows two secrets at most', async () => {
    const { id, secret } = await create();
    const second = await rotate(id, 3600);
    const third = await rotate(id, 3600);
    expect(await reasonOf(authenticate(secret))).toBe('KEY_INVALID');
    expect((await authenticate(second.secret)).keyId).toBe(id);
    expect((await authenticate(third.secret)).keyId).toBe(id);
    await registry.call(apiKeys.revokeApiKey, { apiKey: id, requestId: '' });
    for (const key of [second.secret, third.secret]) expect(await reasonOf(authenticate(key))).toBe('KEY_INVALID');
  });

  it('answers a repeated call without the secret', async () => {
    const { id } = await create();
    const first = await rotate(id, 0, 'again');
    const second = await rotate(id, 0, 'again');
    expect(second).toEqual({ ...first, secret: '' });
    expect((await authenticate(first.secret)).keyId).toBe(id);
  });

  it('gives one of many callers at once each a secret, of which the last stands', async () => {
    const { id } = await create();
    const all = await Promise.all(Array.from({ length: 8 }, () => rotate(id)));
    const good = await Promise.all(
      all.map(({ secret }) =>
        authenticate(secret).then(
          () => 1,
          () => 0,
        ),
      ),
    );
    expect(good.reduce((sum: number, one) => sum + one, 0)).toBe(1);
  });

  it('refuses a revoked key, the key of the environment, an unknown one and an overlap out of bounds', async () => {
    const { id } = await create();
    expect(await reasonOf(rotate(id, -1))).toBe('INVALID_REQUEST');
    expect(await reasonOf(rotate(id, 604_801))).toBe('INVALID_REQUEST');
    expect(await reasonOf(rotate('nobody'))).toBe('KEY_NOT_FOUND');
    expect(await reasonOf(rotate(adminKeyId))).toBe('STATE_FORBIDS');
    await registry.call(apiKeys.revokeApiKey, { apiKey: id, requestId: '' });
    expect(await reasonOf(rotate(id))).toBe('STATE_FORBIDS');
  });
});
