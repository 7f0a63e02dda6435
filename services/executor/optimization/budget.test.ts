import { AppError } from '@signet/kit/error/app-error.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Budget, type PlannedCall } from './budget.ts';

const caps = { lmCalls: 1_000, tokens: 0, usd: 0, seconds: 60 };
const nothing = { lmCalls: 0, tokens: 0, usd: 0 };
const call = (fields: Partial<PlannedCall> = {}): PlannedCall => ({
  promptTokensMax: 100,
  completionTokensMax: 50,
  prices: undefined,
  ...fields,
});
const outcome = (work: Promise<unknown>) =>
  work.then(
    () => 'reserved',
    (error: unknown) => (error instanceof AppError ? `${error.reason} ${error.metadata.cap}` : error),
  );

describe('a budget', () => {
  it('allows exactly as many calls as its cap, however many ask at once', async () => {
    const budget = new Budget({ ...caps, lmCalls: 50 }, { ...nothing, lmCalls: 3 });
    const asked = Array.from({ length: 80 }, async () => {
      const reserved = await budget.reserve(call());
      await new Promise((resolve) => setImmediate(resolve));
      budget.settle(reserved, { tokensIn: 1, tokensOut: 1, usd: undefined });
    });
    const outcomes = await Promise.all(asked.map(outcome));
    expect(outcomes.filter((word) => word === 'reserved')).toHaveLength(47);
    expect(new Set(outcomes)).toEqual(new Set(['reserved', 'BUDGET_EXCEEDED lm_calls']));
    expect([budget.calls, budget.exhausted]).toEqual([50, 'lm_calls']);
  });

  it('lets a call wait for what others may give back, and shortens a completion to what is left', async () => {
    const budget = new Budget({ ...caps, tokens: 300 }, nothing);
    const first = await budget.reserve(call());
    expect(first.tokensOutMax).toBeUndefined();
    let isReserved = false;
    const second = budget.reserve(call({ promptTokensMax: 200 })).then((reserved) => {
      isReserved = true;
      return reserved;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isReserved).toBe(false);
    budget.settle(first, { tokensIn: 20, tokensOut: 60, usd: undefined });
    expect((await second).tokensOutMax).toBe(20);
    const third = budget.reserve(call());
    budget.settle(await second, { tokensIn: 200, tokensOut: 20, usd: undefined });
    expect(await outcome(third)).toBe('BUDGET_EXCEEDED tokens');
    expect(await outcome(budget.reserve(call({ promptTokensMax: 0 })))).toBe('BUDGET_EXCEEDED tokens');
  });

  it('bounds a completion that nobody bounded where tokens or money are capped', async () => {
    const prices = { inputPerMillion: 1_000_000, outputPerMillion: 2_000_000, currency: 'USD' as const };
    const budget = new Budget({ ...caps, usd: 10 }, nothing);
    const reserved = await budget.reserve(call({ promptTokensMax: 2, completionTokensMax: undefined, prices }));
    expect(reserved).toMatchObject({ tokensOutMax: 4, usd: 10 });
    budget.release(reserved);
    expect(budget.calls).toBe(0);
    expect(await outcome(budget.reserve(call({ promptTokensMax: 11, prices })))).toBe('BUDGET_EXCEEDED usd');
  });

  it('tells that it is spent once what was under way has ended', async () => {
    const budget = new Budget({ ...caps, lmCalls: 1 }, nothing);
    const told: string[] = [];
    const stop = budget.whenSpent((cap) => told.push(cap));
    budget.whenSpent(() => told.push('never'))();
    const reserved = await budget.reserve(call());
    const refused = outcome(budget.reserve(call()));
    budget.exhaust('seconds');
    expect([await refused, told]).toEqual(['BUDGET_EXCEEDED seconds', []]);
    budget.settle(reserved, { tokensIn: 1, tokensOut: 1, usd: undefined });
    expect(told).toEqual(['seconds']);
    stop();
    budget.whenSpent((cap) => told.push(`late ${cap}`));
    expect(told).toEqual(['seconds', 'late seconds']);
  });

  it('is never passed, whatever calls ask and use', async () => {
    const prices = { inputPerMillion: 500, outputPerMillion: 1_500, currency: 'USD' as const };
    const asks = fc.array(
      fc.record({
        prompt: fc.integer({ min: 0, max: 400 }),
        out: fc.option(fc.integer({ min: 1, max: 900 })),
        part: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(asks, fc.integer({ min: 1, max: 5_000 }), async (calls, tokens) => {
        const usd = 0.002;
        const budget = new Budget({ ...caps, lmCalls: 20, tokens, usd }, nothing);
        const sum = { calls: 0, tokens: 0, usd: 0 };
        await Promise.all(
          calls.map(async ({ prompt, out, part }) => {
            const planned = { promptTokensMax: prompt, completionTokensMax: out ?? undefined, prices };
            const reserved = await budget.reserve(planned).catch(() => undefined);
            if (reserved === undefined) return;
            const tokensIn = Math.floor(prompt * part);
            const tokensOut = Math.floor((reserved.tokensOutMax ?? out ?? 0) * part);
            const cost = (tokensIn * 500 + tokensOut * 1_500) / 1e6;
            sum.calls += 1;
            sum.tokens += tokensIn + tokensOut;
            sum.usd += cost;
            await new Promise((resolve) => setImmediate(resolve));
            budget.settle(reserved, { tokensIn, tokensOut, usd: cost });
          }),
        );
        expect(sum.calls).toBeLessThanOrEqual(20);
        expect(sum.tokens).toBeLessThanOrEqual(tokens);
        expect(sum.usd).toBeLessThanOrEqual(usd + 1e-12);
      }),
      { numRuns: 200 },
    );
  });
});
