import { ROOT_CONTEXT } from '@opentelemetry/api';
import { createGrpcPeer } from '@signet/kit/grpc/client.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { noTelemetry } from '@signet/kit/telemetry/telemetry-config.ts';
import {
  CreateApiKeyRequest,
  type DeepPartial,
  ListApiKeysRequest,
  UpdateApiKeyRequest,
} from '@signet/proto/gen/signet/v1/api_key_service.ts';
import { describe, expect, it } from 'vitest';
import { adminKey, apiKeys, inner, programs, refusal, startTestRegistry } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';
import { isPlausibleKey, makeKey } from './key-text.ts';

const registry = useTestRegistry();

const create = (fields: DeepPartial<CreateApiKeyRequest> = {}) =>
  registry.call(apiKeys.createApiKey, CreateApiKeyRequest.fromPartial({ name: 'k', role: 2, ...fields }));
const authenticate = (key: string) => registry.call(inner.authenticateKey, { key });
const tomorrow = () => new Date(Date.now() + 86_400_000);

describe('API keys', () => {
  it('POL-03 shows a key once and knows its owner by it', async () => {
    const expireTime = tomorrow();
    const { apiKey, secret } = await create({ name: 'mine', role: 3, expireTime, labels: { team: 'x' } });
    expect(secret).toMatch(/^sgn_[0-9A-Za-z]{46}$/);
    expect(apiKey).toMatchObject({ name: 'mine', role: 3, prefix: secret.slice(0, 12), labels: { team: 'x' } });
    expect(await authenticate(secret)).toEqual({ keyId: apiKey?.id, name: 'mine', role: 3, expireTime });
    const shown = await registry.call(apiKeys.getApiKey, { apiKey: apiKey!.id });
    expect(JSON.stringify(shown)).not.toContain(secret.slice(12));
  });

  it('keeps no key in the database, neither whole nor in part', async () => {
    const { secret } = await create();
    const { rows } = await registry.sql.query('select k::text as row from registry.api_keys k');
    const dump = JSON.stringify(rows);
    for (const text of [secret, secret.slice(12), adminKey, Buffer.from(secret).toString('hex')])
      expect(dump).not.toContain(text);
  });

  it('refuses unknown, mistyped, revoked and expired keys', async () => {
    const revoked = await create();
    await registry.call(apiKeys.revokeApiKey, { apiKey: revoked.apiKey!.id, requestId: '' });
    const again = await registry.call(apiKeys.revokeApiKey, { apiKey: revoked.apiKey!.id, requestId: '' });
    expect(again.revokeTime).toBeInstanceOf(Date);
    const expired = await create({ expireTime: tomorrow() });
    await registry.sql.query(`update registry.api_keys set expire_time = now() - interval '1 s' where id = $1`, [
      expired.apiKey!.id,
    ]);
    const deleted = await create();
    await registry.call(apiKeys.deleteApiKey, { apiKey: deleted.apiKey!.id, etag: '', requestId: '' });
    const mistyped = `${revoked.secret.slice(0, -1)}${revoked.secret.endsWith('a') ? 'b' : 'a'}`;
    for (const key of [
      revoked.secret,
      deleted.secret,
      mistyped,
      makeKey().key,
      '',
      'x',
      '\u0000'.repeat(40),
      'ä'.repeat(40),
      'x'.repeat(4000),
    ]) {
      expect(await refusal(authenticate(key))).toMatchObject({
        reason: 'KEY_INVALID',
        message: 'The API key is not valid',
      });
    }
    expect((await refusal(authenticate(expired.secret))).reason).toBe('KEY_EXPIRED');
  });

  it('sees by its checksum that a text is no key', () => {
    const { key } = makeKey();
    expect(isPlausibleKey(key)).toBe(true);
    const wrong = Array.from({ length: 42 }, (_, index) => {
      const at = index + 4;
      return `${key.slice(0, at)}${key[at] === 'x' ? 'y' : 'x'}${key.slice(at + 1)}`;
    });
    expect(wrong.filter(isPlausibleKey)).toEqual([]);
    expect(new Set(Array.from({ length: 1000 }, () => makeKey().key)).size).toBe(1000);
  });

  it('takes the key of the environment as it is, and a changed one in its place', async () => {
    expect(await authenticate(adminKey)).toMatchObject({ name: 'admin', role: 4 });
    const odd = `sgn_${'0'.repeat(46)}`;
    const other = await startTestRegistry(registry.databaseUrl, { config: { adminKey: odd } });
    try {
      expect((await other.call(inner.authenticateKey, { key: odd })).role).toBe(4);
      expect((await refusal(other.call(inner.authenticateKey, { key: adminKey }))).reason).toBe('KEY_INVALID');
    } finally {
      await other.close();
    }
    const back = await startTestRegistry(registry.databaseUrl);
    await back.close();
    expect(await authenticate(adminKey)).toMatchObject({ role: 4 });
  });

  it('updates name, end and labels by mask, and no more', async () => {
    const { apiKey } = await create();
    const update = (fields: DeepPartial<UpdateApiKeyRequest>) =>
      registry.call(apiKeys.updateApiKey, UpdateApiKeyRequest.fromPartial({ apiKey: apiKey!.id, ...fields }));
    const changed = await update({ name: 'new', expireTime: tomorrow(), etag: apiKey!.etag });
    expect(changed).toMatchObject({ name: 'new', role: 2 });
    expect((await update({ updateMask: ['expire_time'] })).expireTime).toBeUndefined();
    expect((await refusal(update({ name: 'x', etag: apiKey!.etag }))).reason).toBe('ETAG_MISMATCH');
    expect((await refusal(update({ updateMask: ['role'] }))).reason).toBe('INVALID_REQUEST');
    expect((await refusal(update({ updateMask: ['key_hash'] }))).reason).toBe('INVALID_REQUEST');
    expect((await refusal(update({ expireTime: new Date(0) }))).fieldViolations[0]?.field).toBe('expire_time');
    expect((await refusal(update({ apiKey: 'nobody', name: 'x' }))).reason).toBe('KEY_NOT_FOUND');
  });

  it('refuses keys without name or role, and times that have passed', async () => {
    const error = await refusal(create({ name: '', role: 0, expireTime: new Date(Date.now() - 1) }));
    expect(error.fieldViolations.map(({ field }) => field)).toEqual(['name', 'role', 'expire_time']);
    expect((await refusal(create({ role: 99 as 1 }))).fieldViolations[0]?.field).toBe('role');
  });

  it('lists keys by role, and tells a caller who it is', async () => {
    const { apiKey } = await create({ name: 'lister', role: 1 });
    const request = ListApiKeysRequest.fromPartial({ filter: 'role = viewer AND name = lister' });
    expect((await registry.call(apiKeys.listApiKeys, request)).apiKeys.map(({ id }) => id)).toEqual([apiKey?.id]);
    const wrong = ListApiKeysRequest.fromPartial({ filter: 'key_hash = x' });
    expect((await refusal(registry.call(apiKeys.listApiKeys, wrong))).reason).toBe('FILTER_SYNTAX');
    expect((await refusal(registry.call(apiKeys.getMe, {}, 'viewer'))).reason).toBe('KEY_NOT_FOUND');
  });

  it('DOM-05 opens no method to callers without the internal token', async () => {
    const telemetry = createTelemetry('test', noTelemetry);
    const address = registry.app.listening.grpc!;
    const peer = createGrpcPeer({ telemetry, internalToken: 'guessed', peer: 'registry', address });
    const ctx = { signal: new AbortController().signal, deadlineMs: undefined, trace: ROOT_CONTEXT };
    try {
      for (const call of [
        peer.unary(inner.authenticateKey, { key: adminKey }, ctx),
        peer.unary(programs.getProgram, { program: 'x', includeArchived: false }, ctx),
      ]) {
        expect((await refusal(call)).reason).toBe('KEY_MISSING');
      }
    } finally {
      peer.close();
    }
  });
});
