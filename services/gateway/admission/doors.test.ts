import { roles } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loadContract } from '../contract/public-methods.ts';
import { type GatewayRig, rigKeys, startRig } from '../test-support/owners.ts';
import { roleTable } from './role.ts';

let open: GatewayRig;
let limited: GatewayRig;
beforeAll(async () => {
  [open, limited] = await Promise.all([startRig(), startRig({ rateLimit: { count: 100, windowMs: 60_000 } })]);
});
afterAll(() => Promise.all([open.close(), limited.close()]));
beforeEach(() => {
  open.reset();
  limited.reset();
});

const told = async (answer: Response) => (await answer.json()) as { reason: string; status: number };

describe('DOM-05 a key over HTTP', () => {
  test('is asked for before anything is looked at', async () => {
    const init = { method: 'POST', body: 'no JSON at all', key: null };
    const answer = await open.fetch('/v1/programs/nothing:execute', init);
    expect(await told(answer)).toMatchObject({ status: 401, reason: 'KEY_MISSING' });
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="signet"');
    expect(open.seen).toEqual([]);
  });

  test('that is wrong or expired is told apart from none', async () => {
    expect(await told(await open.fetch('/v1/me', { key: 'sgn_wrong_0123456789012345678901' }))).toMatchObject({
      reason: 'KEY_INVALID',
    });
    expect(await told(await open.fetch('/v1/me', { key: rigKeys.expired }))).toMatchObject({ reason: 'KEY_EXPIRED' });
    expect(
      await told(await open.fetch('/v1/me', { key: null, headers: { authorization: 'Basic eA==' } })),
    ).toMatchObject({
      status: 401,
      reason: 'KEY_INVALID',
    });
  });

  test('is asked about once, not with every call', async () => {
    const before = open.keyQuestions();
    for (let turn = 0; turn < 20; turn++) await open.fetch('/v1/me', { key: rigKeys.editor });
    expect(open.keyQuestions() - before).toBeLessThanOrEqual(1);
  });

  test('is no reason for 401 while the registry is away', async () => {
    open.answer('AuthenticateKey', () => {
      throw new AppError('DATABASE_UNAVAILABLE', 'The database does not answer', { retryAfterMs: 1000 });
    });
    const answer = await open.fetch('/v1/me', { key: 'sgn_fresh_0123456789012345678901' });
    expect(await told(answer)).toMatchObject({ status: 503, reason: 'DATABASE_UNAVAILABLE' });
    expect(answer.headers.get('retry-after')).toBe('1');
  });
});

describe('POL-03 a role over HTTP', () => {
  const calls = loadContract().methods.flatMap((method) =>
    roles.map((role) => [role, method.name, method, method.bindings[0]!] as const),
  );
  test.each(calls)('of %s counts for %s', async (role, _name, method, binding) => {
    const path = binding.template.replace(/\{[a-z_]+\}/g, '7');
    const body = binding.hasBody ? '{}' : null;
    const answer = await open.fetch(path, { method: binding.httpMethod, body, key: rigKeys[role] });
    const text = await answer.text();
    const allowed = roles.indexOf(role) >= roles.indexOf(roleTable[method.path]!);
    if (allowed) expect(answer.status).toBeLessThan(300);
    else
      expect(JSON.parse(text)).toMatchObject({
        status: 403,
        reason: 'ROLE_REQUIRED',
        metadata: { role: roleTable[method.path] },
      });
    expect(open.seen).toHaveLength(allowed ? 1 : 0);
  });
});

describe('POL-04 the limit', () => {
  test('refuses request 101 of a minute, per key, resource and action', async () => {
    for (let call = 1; call <= 100; call++) {
      const answer = await limited.fetch('/v1/me');
      await answer.text();
      expect([call, answer.status, answer.headers.get('ratelimit-policy')]).toEqual([
        call,
        200,
        '"default";q=100;w=60',
      ]);
    }
    const refused = await limited.fetch('/v1/me');
    expect(refused.headers.get('ratelimit')).toMatch(/^"default";r=0;t=\d+$/);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({
      status: 429,
      reason: 'RATE_LIMITED',
      retryAfterMs: expect.any(Number),
    });
    expect((await limited.fetch('/v1/me', { key: rigKeys.viewer })).status).toBe(200);
    expect((await limited.fetch('/v1/programs')).status).toBe(200);
  });

  test('holds for documents without a key, but not for probes', async () => {
    const statuses = new Set<number>();
    for (let call = 1; call <= 101; call++) {
      const answer = await limited.fetch('/docs', { key: null });
      await answer.text();
      statuses.add(answer.status);
    }
    expect([...statuses]).toEqual([200, 429]);
    for (let call = 1; call <= 101; call++) expect((await limited.fetch('/livez', { key: null })).status).toBe(200);
  });

  test('holds for failed attempts of an address, generously, and spares keys that are known', async () => {
    await limited.fetch('/v1/programs/a');
    const asked = limited.keyQuestions();
    let last = 0;
    for (let call = 1; call <= 1001; call++) {
      const answer = await limited.fetch('/v1/me', { key: null });
      await answer.text();
      last = answer.status;
    }
    expect(last).toBe(429);
    const guess = await limited.fetch('/v1/me', { key: 'sgn_guess_0123456789012345678901' });
    expect(await told(guess)).toMatchObject({ status: 429, reason: 'RATE_LIMITED' });
    expect(limited.keyQuestions()).toBe(asked);
  });
});
