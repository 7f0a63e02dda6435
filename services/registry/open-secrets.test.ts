import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { CreateApiKeyRequest } from '@signet/proto/gen/signet/v1/api_key_service.ts';
import {
  CreateLanguageModelRequest,
  LanguageModelServiceService as models,
  UpdateLanguageModelRequest,
} from '@signet/proto/gen/signet/v1/language_model_service.ts';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/support/database.ts';
import { hashKey, makeKey } from './api-key/key-text.ts';
import type { RegistryConfig } from './config.ts';
import { readConfig } from './config.ts';
import { createSeal } from './sealing/seal.ts';
import { adminKey, apiKeys, inner, refusal, startTestRegistry, type TestRegistry } from './test-support/registry.ts';

const first = 'the first secret key of a deployment, 0123456789';
const second = 'the second secret key of a deployment, 987654321';
const third = 'the third secret key of a deployment, 5555555555';
const keyIdOf = (secretKey: string): string => createSeal([secretKey]).keyId;

let database: TestDatabase;
let sql: pg.Client;
let running: TestRegistry[] = [];

beforeEach(async () => {
  database = await createTestDatabase(['registry']);
  sql = new pg.Client(database.url);
  await sql.connect();
});
afterEach(async () => {
  for (const registry of running.splice(0)) await registry.close();
  await sql.end();
  await database.drop();
});

type Keys = Pick<RegistryConfig, 'secretKey'> & Partial<RegistryConfig>;

async function start(config: Keys, options: { resealEveryMs?: number; lines?: string[] } = {}): Promise<TestRegistry> {
  const { lines, ...rest } = options;
  const log = createLogger('registry', lines === undefined ? 'silent' : 'info');
  if (lines !== undefined) {
    for (const level of ['info', 'error'] as const) {
      log[level] = (...told: unknown[]) => void lines.push(`${level} ${JSON.stringify(told)}`);
    }
  }
  const registry = await startTestRegistry(database.url, { config, options: { ...rest, log } });
  running.push(registry);
  return registry;
}

async function stop(registry: TestRegistry): Promise<void> {
  running = running.filter((one) => one !== registry);
  await registry.close();
}

async function fill(registry: TestRegistry, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const request = { name: `m ${at}`, slug: `m-${at}`, model: 'openai/x', credential: `sk-of-${at}-0123456789` };
    await registry.call(models.createLanguageModel, CreateLanguageModelRequest.fromPartial(request), 'admin');
  }
}

async function credentialsOf(registry: TestRegistry, count: number): Promise<string[]> {
  const told = [];
  for (let at = 0; at < count; at++) {
    told.push(await registry.call(inner.resolveLanguageModel, { languageModel: `m-${at}` }));
  }
  return told.map(({ credential, credentialFault }) => credentialFault || credential);
}

const expectedOf = (count: number): string[] => Array.from({ length: count }, (_, at) => `sk-of-${at}-0123456789`);

/** How many sealed values there are by the id of the secret key that sealed them. */
async function sealedBy(): Promise<Record<string, number>> {
  const { rows } = await sql.query<{ key: string; count: number }>(
    `select coalesce(key, 'unknown') as key, count(*)::int from (
       select credential_key_id as key from registry.language_models where credential is not null
       union all select key_id from registry.peppers) sealed group by 1`,
  );
  return Object.fromEntries(rows.map(({ key, count }) => [key, count]));
}

const makeApiKey = async (registry: TestRegistry): Promise<string> =>
  (await registry.call(apiKeys.createApiKey, CreateApiKeyRequest.fromPartial({ name: 'k', role: 2 }), 'admin')).secret;

describe('changing the secret key', () => {
  it('seals everything anew under the present one, and the previous one is needed no longer', async () => {
    const before = await start({ secretKey: first });
    await fill(before, 3);
    const key = await makeApiKey(before);
    const states = async () =>
      (
        await sql.query(
          `select id, row_version, update_time, catalog_revision from registry.language_models order by id`,
        )
      ).rows;
    const was = await states();
    const audited = (await sql.query('select count(*)::int as n from registry.audit_log')).rows[0].n;
    await stop(before);
    const lines: string[] = [];
    const changing = await start({ secretKey: second, previousSecretKey: first }, { lines });
    expect(await credentialsOf(changing, 3)).toEqual(expectedOf(3));
    await eventually(async () => expect(await sealedBy()).toEqual({ [keyIdOf(second)]: 4 }));
    await eventually(() => expect(lines.join('\n')).toContain('"resealed":4'));
    for (const hidden of ['sk-of-', first, second]) expect(lines.join('\n')).not.toContain(hidden);
    // Nobody changed anything: etags stay good, executors have nothing to read, the audit log nothing to say.
    expect(await states()).toEqual(was);
    expect((await sql.query('select count(*)::int as n from registry.audit_log')).rows[0].n).toBe(audited);
    await stop(changing);
    const after = await start({ secretKey: second });
    expect(await credentialsOf(after, 3)).toEqual(expectedOf(3));
    for (const text of [key, adminKey])
      expect((await after.call(inner.authenticateKey, { key: text })).keyId).not.toBe('');
    const made = await makeApiKey(after);
    await stop(after);
    const oncemore = await start({ secretKey: third, previousSecretKey: second });
    for (const text of [key, made]) expect((await oncemore.call(inner.authenticateKey, { key: text })).name).toBe('k');
  });

  it('takes along what was sealed and hashed before ids of keys and peppers were kept', async () => {
    const before = await start({ secretKey: first });
    await fill(before, 2);
    await stop(before);
    const { key, prefix } = makeKey();
    await sql.query('update registry.language_models set credential_key_id = null');
    await sql.query('truncate registry.peppers');
    await sql.query(`insert into registry.api_keys (name, role, prefix, key_hash) values ('old', 'runner', $1, $2)`, [
      ...[prefix, hashKey(key, first)],
    ]);
    const changing = await start({ secretKey: second, previousSecretKey: first });
    await eventually(async () => expect(await sealedBy()).toEqual({ [keyIdOf(second)]: 4 }));
    expect(await credentialsOf(changing, 2)).toEqual(expectedOf(2));
    expect((await changing.call(inner.authenticateKey, { key })).name).toBe('old');
    await stop(changing);
    const after = await start({ secretKey: second });
    expect((await after.call(inner.authenticateKey, { key })).name).toBe('old');
  });

  it('leaves everything as it was under a wrong previous key, says so, and works with the right one', async () => {
    const before = await start({ secretKey: first });
    await fill(before, 2);
    const key = await makeApiKey(before);
    await stop(before);
    const bytes = async () => (await sql.query('select credential from registry.language_models order by id')).rows;
    const was = await bytes();
    const lines: string[] = [];
    const wrong = await start({ secretKey: second, previousSecretKey: third }, { lines });
    for (const told of await credentialsOf(wrong, 2)) expect(told).toContain('SIGNET_SECRET_KEY_PREVIOUS');
    expect((await refusal(wrong.call(inner.authenticateKey, { key }))).reason).toBe('KEY_INVALID');
    expect((await wrong.call(inner.authenticateKey, { key: adminKey })).name).toBe('admin');
    await eventually(() => expect(lines.join('\n')).toMatch(/error .*"unopened":2/));
    expect(lines.join('\n')).toMatch(/error .*SIGNET_SECRET_KEY is another than before/);
    expect(await bytes()).toEqual(was);
    await stop(wrong);
    lines.length = 0;
    const right = await start({ secretKey: second, previousSecretKey: first }, { lines });
    await eventually(() => expect(lines.join('\n')).toContain('"resealed":3'));
    expect(await credentialsOf(right, 2)).toEqual(expectedOf(2));
    for (const text of [key, adminKey])
      expect((await right.call(inner.authenticateKey, { key: text })).keyId).not.toBe('');
    expect(lines.filter((line) => line.startsWith('error'))).toEqual([]);
  });

  it('does no harm with two registries at once, in whatever order they change over', { timeout: 30_000 }, async () => {
    const options = { resealEveryMs: 20 };
    const early = await start({ secretKey: first });
    await fill(early, 20);
    const key = await makeApiKey(early);
    await stop(early);
    const former = { secretKey: first, previousSecretKey: second };
    const next = { secretKey: second, previousSecretKey: first };
    const both = await Promise.all([start(former, options), start(next, options)]);
    for (let round = 0; round < 3; round++) {
      for (const registry of both) {
        expect(await credentialsOf(registry, 20)).toEqual(expectedOf(20));
        expect((await registry.call(inner.authenticateKey, { key })).name).toBe('k');
      }
      // A credential that is set meanwhile is not lost to one that was sealed anew.
      const credential = `sk-set-in-round-${round}`;
      for (const [at, registry] of both.entries()) {
        const update = UpdateLanguageModelRequest.fromPartial({ languageModel: `m-${at}`, credential });
        await registry.call(models.updateLanguageModel, update, 'admin');
        for (const reader of both) {
          expect((await reader.call(inner.resolveLanguageModel, { languageModel: `m-${at}` })).credential).toBe(
            credential,
          );
        }
        const back = UpdateLanguageModelRequest.fromPartial({
          ...{ languageModel: `m-${at}`, credential: expectedOf(2)[at]! },
        });
        await registry.call(models.updateLanguageModel, back, 'admin');
      }
    }
    await stop(both[0]);
    await Promise.all([start(next, options), start(next, options)]);
    await eventually(async () => expect(await sealedBy()).toEqual({ [keyIdOf(second)]: 21 }));
    for (const registry of running.splice(0)) await registry.close();
    expect(await credentialsOf(await start({ secretKey: second }), 20)).toEqual(expectedOf(20));
  });
});

describe('the previous secret key', () => {
  const good = { DATABASE_URL: 'postgres://postgres@localhost/signet', SIGNET_SECRET_KEY: 'secret' };
  const previous = (value: string) => readConfig({ ...good, SIGNET_SECRET_KEY_PREVIOUS: value }).previousSecretKey;

  it('is read like any other secret', () => {
    expect(readConfig(good).previousSecretKey).toBeUndefined();
    expect(readConfig({ ...good, SIGNET_SECRET_KEY_PREVIOUS_FILE: '/dev/null' }).previousSecretKey).toBeUndefined();
    for (const text of ['secret', 'two words', 'first line\nsecond line', 'Schlüssel'])
      expect(previous(text)).toBe(text);
  });

  it('is refused in one line where it is no text', () => {
    for (const text of ['a\u0000b', 'x'.repeat(4097), Buffer.of(0x41, 0xff).toString(), '\u001b[0m']) {
      expect(() => previous(text)).toThrow(
        /^configuration: SIGNET_SECRET_KEY_PREVIOUS must be text of at most 4096 char/,
      );
    }
  });
});
