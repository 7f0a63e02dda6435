import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { type Stack, startStack } from '../support/stack.ts';

describe('PromoteProgramVersion', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ engines: 'mock' });
  });
  afterAll(() => stack?.close());

  const promote = (slug: unknown, version: unknown, body: JsonObject = {}) =>
    stack.http.post(`/v1/programs/${slug}/versions/${version}:promote`, body);
  const execute = async (slug: unknown) =>
    demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { ...QA_INPUTS } }), 200);
  const twoVersions = async (latencyMs = 0): Promise<JsonObject> => {
    const metadata = { mock: { latency_ms: latencyMs } };
    const program = await readyProgram(stack, { configuration: { metadata } });
    const configuration = { instructions: 'Another way.', metadata };
    return demand(await stack.http.patch(`/v1/programs/${program.slug}`, { configuration }), 200);
  };

  it('prepares a version, lets it serve within a second, and rolls back', async () => {
    const { slug, servingVersion, latestVersion } = await twoVersions();
    expect([servingVersion, latestVersion]).toEqual([1, 2]);
    expect((await execute(slug)).version).toBe(1);
    const promoted = demand(await promote(slug, 2), 200);
    expect(promoted).toMatchObject({ servingVersion: 2, status: 'PROGRAM_STATUS_READY' });
    await eventually(async () => expect((await execute(slug)).version).toBe(2), 1_000);
    const version = demand(await stack.http.get(`/v1/programs/${slug}/versions/2`), 200);
    expect(version).toMatchObject({ serving: true, preparation: { state: 'PREPARATION_STATE_READY' } });
    expect(demand(await promote(slug, 1), 200).servingVersion).toBe(1);
    await eventually(async () => expect((await execute(slug)).version).toBe(1), 1_000);
  });

  it('lets runs that have begun end on the version on which they began', async () => {
    const { slug } = await twoVersions(400);
    const running = execute(slug);
    await eventually(async () => {
      const { executions } = demand(await stack.http.get(`/v1/executions?program=${slug}&status=running`), 200);
      expect(executions).toHaveLength(1);
    });
    demand(await promote(slug, 2), 200);
    expect((await running).version).toBe(1);
    expect((await execute(slug)).version).toBe(2);
  });

  it('is no error when repeated, and answers a repeated request_id as before', async () => {
    const { slug } = await twoVersions();
    const first = demand(await promote(slug, 2, { requestId: 'p' }), 200);
    expect(demand(await promote(slug, 2), 200).servingVersion).toBe(2);
    demand(await promote(slug, 1), 200);
    expect(demand(await promote(slug, 2, { requestId: 'p' }), 200)).toEqual(first);
    expect((await execute(slug)).version).toBe(1);
  });

  it('tells many at once who was first, and leaves one version serving', async () => {
    const { slug } = await twoVersions();
    demand(await promote(slug, 2), 200);
    const answers = await Promise.all(Array.from({ length: 10 }, (_, at) => promote(slug, 1 + (at % 2))));
    for (const { status, body } of answers) expect(status === 200 || body.reason === 'WRITE_CONFLICT').toBe(true);
    const { servingVersion } = demand(await stack.http.get(`/v1/programs/${slug}`), 200);
    expect([1, 2]).toContain(servingVersion);
  });

  it('refuses what is not there, not ready or changed since, and leaves the program as it was', async () => {
    const { slug } = await twoVersions();
    expect(await promote(slug, 3)).toMatchObject({ status: 404, body: { reason: 'VERSION_NOT_FOUND' } });
    expect(await promote('nobody', 1)).toMatchObject({ status: 404, body: { reason: 'PROGRAM_NOT_FOUND' } });
    expect(await promote(slug, 0)).toMatchObject({ status: 400 });
    expect(await promote(slug, 'x')).toMatchObject({ status: 400 });
    expect(await promote(slug, 2, { etag: 'stale' })).toMatchObject({ status: 412, body: { reason: 'ETAG_MISMATCH' } });
    const draft = demand(
      await stack.http.post('/v1/programs', { name: 'draft', adapterType: 'mock', signatureSpec: 'q -> a' }),
      201,
    );
    expect(await promote(draft.slug, 1)).toMatchObject({ status: 409, body: { reason: 'STATE_FORBIDS' } });
    expect(demand(await stack.http.get(`/v1/programs/${slug}`), 200).servingVersion).toBe(1);
  });

  it('stays with the serving version when the new one cannot be prepared, and says why', async () => {
    const program = await readyProgram(stack, {});
    const configuration = { metadata: { mock: { prepare_error: 'MODULE_INVALID' } } };
    demand(await stack.http.patch(`/v1/programs/${program.slug}`, { configuration }), 200);
    expect(await promote(program.slug, 2)).toMatchObject({ status: 400, body: { reason: 'MODULE_INVALID' } });
    expect((await execute(program.slug)).version).toBe(1);
    const version = demand(await stack.http.get(`/v1/programs/${program.slug}/versions/2`), 200);
    expect(version).toMatchObject({ serving: false, preparation: { state: 'PREPARATION_STATE_ERROR' } });
  });

  it('is for editors', async () => {
    const { slug } = await twoVersions();
    const { secret } = demand(await stack.http.post('/v1/apiKeys', { name: 'runner', role: 'runner' }), 201);
    const refused = await stack.http.post(`/v1/programs/${slug}/versions/2:promote`, {}, { key: String(secret) });
    expect(refused).toMatchObject({ status: 403, body: { reason: 'ROLE_REQUIRED' } });
  });
});
