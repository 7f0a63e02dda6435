import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { grantShare, type Share } from './share.ts';

const nowMs = 1_000_000;
const share = (owner: string, places: number, wanted: number, untilMs = nowMs + 4_000): Share => ({
  ...{ owner, places, wanted, untilMs },
});

describe('shares of a batch', () => {
  it('give all places to one executor, and say nothing new until it is time to renew', () => {
    const first = grantShare(8, [], { owner: 'a', wanted: 32, kept: 0 }, nowMs);
    expect(first).toMatchObject({ limit: 8, isNew: true, concernsOthers: false });
    expect(first.shares).toEqual([{ owner: 'a', places: 8, wanted: 8, untilMs: nowMs + 5_000 }]);
    const wish = { owner: 'a', wanted: 32, kept: 8 };
    expect(grantShare(8, first.shares, wish, nowMs + 1_400)).toMatchObject({ limit: 8, isNew: false });
    expect(grantShare(8, first.shares, wish, nowMs + 1_600)).toMatchObject({ limit: 8, isNew: true });
  });

  it('give one who comes nothing until others have let go, and then the half', () => {
    const came = grantShare(7, [share('a', 7, 7)], { owner: 'b', wanted: 7, kept: 0 }, nowMs);
    expect(came).toMatchObject({ limit: 0, isNew: true, concernsOthers: true });
    const busy = grantShare(7, came.shares, { owner: 'a', wanted: 7, kept: 6 }, nowMs);
    expect(busy).toMatchObject({ limit: 4, concernsOthers: true });
    expect(busy.shares[0]).toMatchObject({ owner: 'a', places: 6 });
    expect(grantShare(7, busy.shares, { owner: 'b', wanted: 7, kept: 0 }, nowMs).limit).toBe(1);
    const done = grantShare(7, busy.shares, { owner: 'a', wanted: 7, kept: 4 }, nowMs);
    expect(grantShare(7, done.shares, { owner: 'b', wanted: 7, kept: 0 }, nowMs).limit).toBe(3);
  });

  it('leave what one does not want to the others', () => {
    const shares = [share('a', 1, 1), share('b', 4, 8)];
    expect(grantShare(8, shares, { owner: 'b', wanted: 8, kept: 4 }, nowMs).limit).toBe(7);
  });

  it('leave one place where it is when two ask for it, until its holder goes', () => {
    const shares = [share('a', 1, 1), share('b', 0, 1)];
    expect(grantShare(1, shares, { owner: 'a', wanted: 1, kept: 1 }, nowMs).limit).toBe(1);
    expect(grantShare(1, shares, { owner: 'b', wanted: 1, kept: 0 }, nowMs).limit).toBe(0);
    const gone = grantShare(1, shares, { owner: 'a', wanted: 0, kept: 0 }, nowMs);
    expect(gone).toMatchObject({ limit: 0, isNew: true, concernsOthers: true });
    expect(grantShare(1, gone.shares, { owner: 'b', wanted: 1, kept: 0 }, nowMs).limit).toBe(1);
  });

  it('forget who does not come back, but not what one runs whose own share ran out', () => {
    const late = [share('a', 4, 4, nowMs - 1), share('b', 4, 4, nowMs - 1)];
    const back = grantShare(8, late, { owner: 'b', wanted: 8, kept: 3 }, nowMs);
    expect(back).toMatchObject({ limit: 8, shares: [{ owner: 'b', places: 8 }] });
    const over = grantShare(8, [share('c', 8, 8)], { owner: 'a', wanted: 8, kept: 3 }, nowMs);
    expect(over.limit).toBe(0);
    expect(over.shares[1]).toMatchObject({ owner: 'a', places: 3 });
  });

  it('give nothing to who wants nothing, and keep nothing of it', () => {
    expect(grantShare(8, [], { owner: 'a', wanted: 0, kept: 0 }, nowMs)).toEqual({
      ...{ limit: 0, shares: [], isNew: false, concernsOthers: false },
    });
  });

  it('never let more run than there are places, whoever comes, goes and dies when', () => {
    const owner = fc.integer({ min: 0, max: 3 });
    const act = fc.oneof(
      fc.record({ kind: fc.constant('ask' as const), owner, wanted: fc.integer({ min: 0, max: 12 }) }),
      fc.record({ kind: fc.constantFrom('hear' as const, 'begin' as const, 'end' as const, 'die' as const), owner }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(act, { minLength: 60, maxLength: 200 }), (places, acts) => {
        const lives = [0, 1, 2, 3].map(() => ({ life: 0, limit: 0, running: 0, heard: 0 }));
        let shares: readonly Share[] = [];
        acts.forEach((each, at) => {
          const one = lives[each.owner]!;
          if (each.kind === 'begin') one.running = Math.max(one.running, one.limit);
          if (each.kind === 'end' && one.running > 0) one.running--;
          // What has died runs nothing, and comes back under another name.
          if (each.kind === 'die') lives[each.owner] = { life: at + 1, limit: 0, running: 0, heard: 0 };
          // What was granted is heard later; meanwhile it goes on as it was.
          if (each.kind === 'hear') one.limit = one.heard;
          if (each.kind === 'ask') {
            one.limit = Math.min(one.heard, each.wanted);
            const wish = {
              owner: `${each.owner}/${one.life}`,
              wanted: each.wanted,
              kept: Math.max(one.running, one.limit),
            };
            const grant = grantShare(places, shares, wish, nowMs + 10 * at);
            one.heard = grant.limit;
            shares = grant.shares;
          }
          expect(lives.reduce((sum, { running }) => sum + running, 0)).toBeLessThanOrEqual(places);
        });
      }),
      { numRuns: 500 },
    );
  });

  it('come to the same everywhere once all have asked often enough, and leave nothing over', () => {
    const wanted = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), wanted, (places, wishes) => {
        let shares: readonly Share[] = [];
        const limits = wishes.map(() => 0);
        for (let turn = 0; turn < 3; turn++) {
          wishes.forEach((wish, at) => {
            // Whatever is granted is run, and what is too much has ended by the next time.
            const grant = grantShare(places, shares, { owner: `${at}`, wanted: wish, kept: limits[at]! }, nowMs);
            limits[at] = grant.limit;
            shares = grant.shares;
          });
        }
        const sum = limits.reduce((total, limit) => total + limit, 0);
        expect(sum).toBe(
          Math.min(
            places,
            wishes.reduce((total, wish) => total + wish, 0),
          ),
        );
        const unmet = limits.filter((limit, at) => limit < wishes[at]!);
        expect(Math.max(...limits) - Math.min(...unmet, Math.max(...limits))).toBeLessThanOrEqual(1);
      }),
    );
  });
});
