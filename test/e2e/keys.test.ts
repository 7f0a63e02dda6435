import { createHash } from 'node:crypto';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ApiKeyServiceService, GetMeRequest } from '@signet/proto/gen/signet/v1/api_key_service.ts';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf } from '../support/grpc-clients.ts';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_INPUTS, QA_SPEC, readyProgram, uniqueName } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
const keys: Record<string, string> = {};
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
  for (const role of ['viewer', 'runner', 'editor', 'admin']) keys[role] = await makeKey({ role });
});
afterAll(() => stack?.close());

async function makeKey(fields: JsonObject): Promise<string> {
  return String(demand(await stack.http.post('/v1/apiKeys', { name: uniqueName('key'), ...fields }), 201).secret);
}

describe('keys', () => {
  it.each([
    ['none', '', 'KEY_MISSING'],
    ['nonsense', 'nonsense', 'KEY_INVALID'],
    ['the right form and a wrong secret', 'sgn_0123456789abcdef_0123456789abcdef0123456789abcdef', 'KEY_INVALID'],
    ['one that is far too long', 'k'.repeat(5000), 'KEY_INVALID'],
  ])('DOM-05, POL-03 refuses a call with %s, at both doors', async (_what, key, reason) => {
    const refused = await stack.http.get('/v1/programs', { key });
    expect([refused.status, refused.body.reason]).toEqual([401, reason]);
    expect(refused.headers['www-authenticate']).toMatch(/^Bearer/);
    const error = await stack.grpc.fails(ApiKeyServiceService.getMe, GetMeRequest.fromPartial({}), { key });
    expect([error.code, failureOf(error).reason]).toEqual([16, reason]);
  });

  it('DOM-05 asks for a key before it looks anything up', async () => {
    const program = await createProgram(stack);
    const [there, nowhere] = await Promise.all(
      [program.slug, 'nobody-knows-me'].map((slug) => stack.http.get(`/v1/programs/${slug}`, { key: '' })),
    );
    expect(there?.status).toBe(401);
    expect({ ...there?.body, traceId: '', instance: '' }).toEqual({ ...nowhere?.body, traceId: '', instance: '' });
    for (const path of ['/livez', '/readyz', '/metrics', '/openapi.json']) {
      expect([path, (await stack.http.get(path, { key: '' })).status]).toEqual([path, 200]);
    }
  });

  it('shows a key once and keeps only its HMAC', async () => {
    const made = demand(await stack.http.post('/v1/apiKeys', { name: 'once', role: 'viewer' }), 201);
    expect(made.secret).toMatch(/^sgn_/);
    const id = (made.apiKey as JsonObject).id;
    const read = await stack.http.get(`/v1/apiKeys/${id}`);
    expect(read.text).not.toContain(String(made.secret));
    const client = new pg.Client(stack.databaseUrl);
    await client.connect();
    const { rows } = await client.query('select row_to_json(k)::text as row from registry.api_keys k');
    await client.end();
    const everything = JSON.stringify(rows);
    expect(everything).not.toContain(String(made.secret));
    expect(everything).not.toContain(createHash('sha256').update(String(made.secret)).digest('hex'));
    expect(stack.logs()).not.toContain(String(made.secret));
    expect(stack.logs()).not.toContain(stack.adminKey);
  });

  it('refuses an expired key and one that was revoked, within 5 s', async () => {
    const expiring = await makeKey({ role: 'viewer', expireTime: new Date(Date.now() + 1500).toISOString() });
    demand(await stack.http.get('/v1/me', { key: expiring }), 200);
    const made = demand(await stack.http.post('/v1/apiKeys', { name: 'short', role: 'viewer' }), 201);
    const revoked = String(made.secret);
    demand(await stack.http.get('/v1/me', { key: revoked }), 200);
    const id = (made.apiKey as JsonObject).id;
    for (let time = 0; time < 2; time += 1) demand(await stack.http.post(`/v1/apiKeys/${id}:revoke`), 200);
    await eventually(async () => {
      expect((await stack.http.get('/v1/me', { key: revoked })).body.reason).toBe('KEY_INVALID');
      expect((await stack.http.get('/v1/me', { key: expiring })).body.reason).toBe('KEY_EXPIRED');
    }, 6000);
    expect(
      (await stack.http.post('/v1/apiKeys', { name: 'x', role: 'viewer', expireTime: '2001-01-01T00:00:00Z' })).status,
    ).toBe(400);
    expect((await stack.http.post('/v1/apiKeys', { name: 'x' })).status).toBe(400);
    expect((await stack.http.post('/v1/apiKeys', { role: 'viewer' })).status).toBe(400);
    expect((await stack.http.post('/v1/apiKeys', { name: 'x', role: 'god' })).status).toBe(400);
  });

  it('lists, changes and deletes keys, and tells whose key it is', async () => {
    const made = demand(await stack.http.post('/v1/apiKeys', { name: 'mine', role: 'runner' }), 201);
    const id = (made.apiKey as JsonObject).id;
    const me = demand(await stack.http.get('/v1/me', { key: String(made.secret) }), 200);
    expect(me).toMatchObject({ id, name: 'mine', role: 'ROLE_RUNNER' });
    expect(demand(await stack.http.patch(`/v1/apiKeys/${id}`, { name: 'yours' }), 200).name).toBe('yours');
    const listed = demand(await stack.http.get(`/v1/apiKeys?filter=${encodeURIComponent(`id = "${id}"`)}`), 200)
      .apiKeys as JsonObject[];
    expect(listed.map(({ name }) => name)).toEqual(['yours']);
    expect((await stack.http.delete(`/v1/apiKeys/${id}`)).status).toBeLessThan(300);
    expect((await stack.http.get(`/v1/apiKeys/${id}`)).body.reason).toBe('KEY_NOT_FOUND');
  });
});

describe('roles', () => {
  it('POL-03 lets each role do its own and nothing above it', async () => {
    const ready = await readyProgram(stack);
    const attempts: [string, (key: string) => Promise<HttpAnswer>, string][] = [
      ['reads', (key) => stack.http.get('/v1/programs', { key }), 'viewer'],
      [
        'runs',
        (key) => stack.http.post(`/v1/programs/${ready.slug}:execute`, { inputs: QA_INPUTS }, { key }),
        'runner',
      ],
      [
        'runs quickly',
        (key) => stack.http.post('/v1/quickExecute', { signatureSpec: 'q -> a', inputs: { q: 'x' } }, { key }),
        'runner',
      ],
      [
        'creates',
        (key) => stack.http.post('/v1/programs', { name: 'x', signatureSpec: QA_SPEC, adapterType: 'mock' }, { key }),
        'editor',
      ],
      ['changes', (key) => stack.http.patch(`/v1/programs/${ready.slug}`, { description: 'y' }, { key }), 'editor'],
      ['manages keys', (key) => stack.http.get('/v1/apiKeys', { key }), 'admin'],
    ];
    const order = ['viewer', 'runner', 'editor', 'admin'];
    for (const [what, attempt, needed] of attempts) {
      for (const role of order) {
        const { status, body } = await attempt(keys[role] ?? '');
        const allowed = order.indexOf(role) >= order.indexOf(needed);
        expect([what, role, status < 300]).toEqual([what, role, allowed]);
        if (!allowed) expect([status, body.reason]).toEqual([403, 'ROLE_REQUIRED']);
      }
    }
  });

  it('POL-01 C-15 hides archived programs from all but admins who ask for them', async () => {
    const { slug, id } = await readyProgram(stack);
    demand(await stack.http.post(`/v1/programs/${slug}:archive`), 200);
    const find = async (query: string, key?: string): Promise<unknown[]> => {
      const filter = encodeURIComponent(`id = "${id}"`);
      const answer = await stack.http.get(`/v1/programs?filter=${filter}${query}`, key === undefined ? {} : { key });
      return (demand(answer, 200).programs ?? []) as unknown[];
    };
    for (const key of [keys.viewer, keys.editor]) {
      expect((await stack.http.get(`/v1/programs/${id}`, { key: key ?? '' })).body.reason).toBe('PROGRAM_NOT_FOUND');
      expect(await find('', key)).toEqual([]);
      expect((await stack.http.get('/v1/programs?includeArchived=true', { key: key ?? '' })).body.reason).toBe(
        'ROLE_REQUIRED',
      );
    }
    expect((await stack.http.get(`/v1/programs/${id}`)).status).toBe(404);
    expect((await stack.http.get(`/v1/programs/${id}?includeArchived=true`)).status).toBe(200);
    expect(await find('')).toEqual([]);
    expect(await find('&includeArchived=true')).toHaveLength(1);
  });

  it('takes nobody for one of our own processes, whatever metadata says', async () => {
    const principal = Buffer.from(JSON.stringify(['x', 'x', 'admin'])).toString('base64url');
    const headers = { 'signet-principal': principal, 'signet-internal': 'true' };
    const refused = await stack.http.get('/v1/apiKeys', { key: keys.viewer ?? '', headers });
    expect(refused.body.reason).toBe('ROLE_REQUIRED');
    expect((await stack.http.get('/v1/programs', { key: stack.internalToken })).status).toBe(401);
  });
});

describe('limits', () => {
  it('POL-04 refuses call 101 of a minute, by key, resource and action', async () => {
    const limited = await startStack({ engines: 'mock', envOf: { gateway: { SIGNET_RATE_LIMIT: '100/60s' } } });
    try {
      const answers: HttpAnswer[] = [];
      for (let at = 0; at < 101; at += 1) answers.push(await limited.http.get('/v1/me'));
      expect(answers.slice(0, 100).map(({ status }) => status)).toEqual(Array.from({ length: 100 }, () => 200));
      const last = answers[100];
      expect([last?.status, last?.body.reason]).toEqual([429, 'RATE_LIMITED']);
      expect(Number(last?.headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(last?.headers['retry-after'])).toBeLessThanOrEqual(60);
      expect(last?.headers).toHaveProperty('ratelimit');
      expect(last?.headers).toHaveProperty('ratelimit-policy');
      expect((await limited.http.get('/v1/programs')).status).toBe(200);
      expect((await limited.http.get('/v1/apiKeys')).status).toBe(200);
      const other = demand(await limited.http.post('/v1/apiKeys', { name: 'other', role: 'viewer' }), 201);
      expect((await limited.http.get('/v1/me', { key: String(other.secret) })).status).toBe(200);
      const error = await limited.grpc.fails(ApiKeyServiceService.getMe, GetMeRequest.fromPartial({}));
      expect([error.code, failureOf(error).reason]).toEqual([8, 'RATE_LIMITED']);
    } finally {
      await limited.close();
    }
  });
});
