import { eventually } from '@signet/kit/testing/eventually.ts';
import { UpdateProgramRequest } from '@signet/proto/gen/signet/v1/program_service.ts';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { inner, programs, refusal, startTestRegistry, type TestRegistry } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry();

type Seen = { revision: bigint; what: string; status?: number; deleted?: boolean };

/** Follows the catalog; `end` says how it ended. */
function follow(from: TestRegistry, afterRevision: bigint) {
  const controller = new AbortController();
  const seen: Seen[] = [];
  const end = (async () => {
    for await (const { revision, change } of from.watch(afterRevision, controller.signal)) {
      if (change?.$case === 'program') {
        const { slug, status, deleted } = change.value;
        seen.push({ revision, what: slug, status, deleted });
      } else seen.push({ revision, what: 'synced' });
    }
  })().then(
    () => 'ended',
    (error: { reason?: string }) => error.reason ?? String(error),
  );
  return { seen, end, stop: () => controller.abort() };
}

const synced = (seen: readonly Seen[]) => seen.findIndex(({ what }) => what === 'synced');

describe('the catalog', () => {
  it('resolves all that is needed to run a program, by id and by slug', async () => {
    const made = await registry.createProgram({
      name: 'resolved',
      adapterType: 3,
      signatureSpec: 'question: str -> answer: str',
      configuration: { instructions: 'Be kind.' },
    });
    for (const program of [made.id, made.slug]) {
      expect(await registry.call(inner.resolveProgram, { program, version: 0 })).toMatchObject({
        programId: made.id,
        status: 1,
        adapterType: 3,
        version: 1,
        servingVersion: 0,
        deleted: false,
        signature: { spec: 'question: str -> answer: str' },
        configuration: { instructions: 'Be kind.' },
        preparation: { state: 1 },
      });
    }
    expect((await refusal(registry.call(inner.resolveProgram, { program: made.id, version: 5 }))).reason).toBe(
      'VERSION_NOT_FOUND',
    );
    expect((await refusal(registry.call(inner.resolveProgram, { program: made.id, version: -5 }))).reason).toBe(
      'INVALID_REQUEST',
    );
  });

  it('tells the past, then `synced`, then each change as it comes, in order', async () => {
    const past = await registry.createProgram({ name: 'past' });
    const watch = follow(registry, 0n);
    await eventually(() => expect(synced(watch.seen)).toBeGreaterThan(0));
    const before = watch.seen.length;
    const now = await registry.createProgram({ name: 'now' });
    await registry.makeReady(now.id);
    await registry.call(programs.deleteProgram, { program: past.id, etag: '', requestId: '', force: false });
    await eventually(() => expect(watch.seen.at(-1)).toMatchObject({ what: 'past', deleted: true }));
    const live = watch.seen.slice(before);
    expect(live.filter(({ what }) => what === 'now').at(-1)).toMatchObject({ status: 3 });
    const revisions = watch.seen.filter(({ what }) => what !== 'synced').map(({ revision }) => revision);
    expect(revisions).toEqual([...revisions].sort((a, b) => (a < b ? -1 : 1)));
    watch.stop();
    expect(await watch.end).toBe('CANCELLED');
  });

  it('goes on after a revision, and from the beginning after one that never was', async () => {
    const first = await registry.createProgram({ name: 'revision' });
    const { revision } = await registry.call(inner.resolveProgram, { program: first.id, version: 0 });
    const second = await registry.createProgram({ name: 'revision' });
    const watch = follow(registry, revision);
    const foreign = follow(registry, 1_000_000n);
    await eventually(() => expect(synced(watch.seen)).toBe(1));
    expect(watch.seen[0]?.what).toBe(second.slug);
    await eventually(() => expect(synced(foreign.seen)).toBeGreaterThan(1));
    for (const one of [watch, foreign]) {
      one.stop();
      await one.end;
    }
  });

  it('misses none of 100 changes at once, of two registries, nor across broken connections', async () => {
    const other = await startTestRegistry(registry.databaseUrl);
    const admin = new pg.Client(registry.databaseUrl);
    await admin.connect();
    try {
      const watches = [follow(registry, 0n), follow(other, 0n)];
      await eventually(() => expect(watches.every(({ seen }) => synced(seen) >= 0)).toBe(true));
      const writes = Array.from({ length: 100 }, (_, index) =>
        (index % 2 === 0 ? registry : other).createProgram({ name: `storm${index}`, slug: `storm-${index}` }),
      );
      await Promise.all(writes);
      // The listeners and a few idle connections of both are cut, as a restart of the database would.
      await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'signet-registry-listen'`,
      );
      const late = await eventually(() => registry.createProgram({ name: 'after the cut', slug: 'after-the-cut' }));
      const wanted = new Set([...Array.from({ length: 100 }, (_, index) => `storm-${index}`), late.slug]);
      for (const { seen } of watches) {
        await eventually(() => expect(wanted.difference(new Set(seen.map(({ what }) => what)))).toEqual(new Set()));
        const revisions = seen.filter(({ what }) => what !== 'synced').map(({ revision }) => revision);
        expect(revisions).toEqual([...revisions].sort((a, b) => (a < b ? -1 : 1)));
      }
      for (const { stop } of watches) stop();
    } finally {
      await admin.end();
      await other.close();
    }
  });

  it('tells an update of what executors cache', async () => {
    const made = await registry.createProgram({ name: 'renamed later' });
    const { revision } = await registry.call(inner.resolveProgram, { program: made.id, version: 0 });
    await registry.call(
      programs.updateProgram,
      UpdateProgramRequest.fromPartial({ program: made.id, slug: 'renamed-since' }),
    );
    const watch = follow(registry, revision);
    await eventually(() => expect(watch.seen.map(({ what }) => what)).toEqual(['renamed-since', 'synced']));
    watch.stop();
  });

  it('ends watches with SHUTTING_DOWN when the registry stops', async () => {
    const other = await startTestRegistry(registry.databaseUrl);
    const watch = follow(other, 0n);
    await eventually(() => expect(synced(watch.seen)).toBeGreaterThanOrEqual(0));
    await other.close();
    expect(await watch.end).toMatch(/SHUTTING_DOWN|SERVICE_UNAVAILABLE|CANCELLED/);
  });
});
