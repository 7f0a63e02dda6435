import { AppError } from '@signet/kit/error/app-error.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { type Database, openDatabase } from '../db/pool.ts';
import { context, failure, useLmClient } from '../test-support/lm-client.ts';
import { runningJob } from '../test-support/running-job.ts';
import { Budget } from './budget.ts';
import { createJobCallStore } from './lm-call.postgres.ts';
import { MeteredLm, withoutPrices } from './metered-lm.ts';
import type { JobBudget } from './optimization.ts';

const { lm, client, request } = await useLmClient();
const usd = { inputPerMillion: 100, outputPerMillion: 300, currency: 'USD' as const };
let made: TestDatabase;
let database: Database;
beforeAll(async () => {
  made = await createTestDatabase(['executor']);
  database = openDatabase({ log: createLogger('test', 'silent') }, made.url, { connectionMax: 4 });
});
afterAll(async () => {
  await database?.close();
  await made?.drop();
});

/** A job of its own under a lease, and the ways to meter its calls: as it begins, and as who takes it over does. */
async function newJob(caps: Partial<JobBudget> = {}) {
  const { id, jobs, leaseToken, budget } = await runningJob(database, caps);
  const calls = createJobCallStore(database);
  const late = new AbortController();
  const meter = async () => {
    const earlier = await calls.read(id);
    const spent = {
      lmCalls: earlier.length,
      tokens: earlier.reduce((sum, call) => sum + call.tokensIn + call.tokensOut, 0),
      usd: earlier.reduce((sum, call) => sum + (call.cost ?? 0), 0),
    };
    const paying = new Budget(budget, spent);
    const metered = new MeteredLm(
      { lm: client, calls },
      { jobId: id, leaseToken, budget: paying, earlier, late: late.signal },
    );
    return { metered, budget: paying };
  };
  return { id, jobs, calls, meter, late, spend: async () => (await jobs.get(id))!.spend };
}

const asking = (content: string, options: Record<string, unknown> = {}) =>
  request({ messages: [{ role: 'user', content }], options });

describe('the language models of a job', () => {
  it('are asked once for what an earlier run was answered, by request and in order', async () => {
    const job = await newJob();
    lm.enqueue({ kind: 'text', text: 'one' }, { kind: 'text', text: 'two' }, { kind: 'text', text: 'other' });
    const first = await job.meter();
    for (const content of ['a', 'a', 'b']) await first.metered.complete(asking(content), context());
    const second = await job.meter();
    const texts: string[] = [];
    for (const content of ['b', 'a', 'a']) texts.push((await second.metered.complete(asking(content), context())).text);
    expect([texts, lm.calls]).toEqual([['other', 'one', 'two'], 3]);
    expect([second.metered.takeReplayed(), second.metered.takeReplayed()]).toEqual([3, 0]);
    lm.enqueue({ kind: 'text', text: 'three' });
    expect((await second.metered.complete(asking('a'), context())).text).toBe('three');
    expect((await second.metered.complete(asking('a', { temperature: 1 }), context())).text).not.toBe('three');
    expect(await job.spend()).toMatchObject({ lmCalls: 5 });
  });

  it('give a step again what another step was answered', async () => {
    const { metered } = await (await newJob()).meter();
    lm.enqueue({ kind: 'text', text: 'one' }, { kind: 'text', text: 'two' });
    const ask = async () => (await metered.complete(asking('a'), context())).text;
    const texts = [await ask(), await ask()];
    metered.rewind();
    texts.push(await ask());
    metered.rewind();
    texts.push(await ask(), await ask());
    expect([texts, lm.calls]).toEqual([['one', 'two', 'one', 'one', 'two'], 2]);
  });

  it('are asked exactly as often as the cap says, repetitions and fallbacks included', async () => {
    const job = await newJob({ lmCalls: 6 });
    const { metered, budget } = await job.meter();
    lm.enqueue(...Array.from({ length: 4 }, () => ({ kind: 'status' as const, status: 503 })), {
      kind: 'text',
      text: 'saved',
    });
    const main = asking('a').endpoint;
    const fallbacks = [{ ...main, slug: `${main.slug}-spare` }];
    const answered = await metered.complete(
      { ...asking('a'), endpoint: { ...main, fallbacks } },
      context({ deadlineMs: Date.now() + 60_000 }),
    );
    expect([answered.text, lm.calls]).toEqual(['saved', 5]);
    const outcomes = await Promise.allSettled([1, 2, 3].map((n) => metered.complete(asking(`x ${n}`), context())));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect([lm.calls, budget.exhausted]).toEqual([6, 'lm_calls']);
    expect(await job.spend()).toMatchObject({ lmCalls: 6 });
  });

  it('count a call that was under way when the job was lost, and do not wait for its answer', async () => {
    const job = await newJob({ lmCalls: 2 });
    const { metered } = await job.meter();
    lm.enqueue({ kind: 'silence' });
    const stop = new AbortController();
    const lost = failure(metered.complete(asking('a'), context({ signal: stop.signal })));
    await expect.poll(() => lm.calls).toBe(1);
    const again = await job.meter();
    expect((await again.metered.complete(asking('a'), context())).text).not.toBe('');
    expect((await failure(again.metered.complete(asking('b'), context()))).reason).toBe('BUDGET_EXCEEDED');
    expect(lm.calls).toBe(2);
    stop.abort();
    await lost;
  });

  it('never use more tokens than the cap: a reply is cut to what is left, and one that may not fit is not asked for', async () => {
    const job = await newJob({ tokens: 400 });
    const { metered } = await job.meter();
    const asked: unknown[] = [];
    for (let turn = 0; turn < 30; turn++) {
      const done = await metered
        .complete(asking(`question ${turn}`, { max_tokens: 200 }), context())
        .catch(() => undefined);
      if (done === undefined) break;
      asked.push(lm.requests.at(-1)!.body.max_tokens);
    }
    const { tokensIn, tokensOut } = await job.spend();
    expect(tokensIn + tokensOut).toBeLessThanOrEqual(400);
    expect(asked[0]).toBe(200);
    expect(asked.at(-1)).toBeLessThan(200);
    expect((await failure(metered.complete(asking('q'), context()))).metadata.cap).toBe('tokens');
  });

  it('never cost more than the cap', async () => {
    const job = await newJob({ usd: 0.05 });
    const { metered } = await job.meter();
    const priced = (content: string) => ({
      ...asking(content),
      endpoint: { ...asking(content).endpoint, prices: usd },
    });
    for (let turn = 0; turn < 40; turn++) {
      await metered.complete(priced(`question ${turn}`), context()).catch(() => undefined);
    }
    const spent = await job.spend();
    expect(spent.usd).toBeGreaterThan(0);
    expect(spent.usd).toBeLessThanOrEqual(0.05);
    expect((await failure(metered.complete(priced('q'), context()))).metadata.cap).toBe('usd');
    expect(withoutPrices([priced('q').endpoint])).toEqual([]);
    expect(withoutPrices([{ ...priced('q').endpoint, fallbacks: [asking('q').endpoint] }])).toHaveLength(1);
  });

  it('are not asked under a lease that is lost, nor once the time is over', async () => {
    const job = await newJob();
    const { metered } = await job.meter();
    await database.query('', `update executor.optimization_jobs set lease_token = lease_token + 1 where id = $1`, [
      job.id,
    ]);
    expect((await failure(metered.complete(asking('a'), context()))).reason).toBe('WORKER_LOST');
    expect([lm.calls, (await job.spend()).lmCalls]).toEqual([0, 0]);
    const slow = await newJob();
    const { metered: waiting } = await slow.meter();
    lm.enqueue({ kind: 'silence' });
    const ended = failure(waiting.complete(asking('a'), context()));
    await expect.poll(() => lm.calls).toBe(1);
    slow.late.abort();
    expect((await ended).reason).toBe('CANCELLED');
  });

  it('wait for a database that is away as long as the lease holds, and are asked nothing meanwhile', async () => {
    const job = await newJob();
    const { budget } = await job.meter();
    const held = new AbortController();
    let awayTimes = 0;
    const calls = {
      ...job.calls,
      send: async (...args: Parameters<typeof job.calls.send>) => {
        if (awayTimes === 0) return job.calls.send(...args);
        awayTimes -= 1;
        // The first time it was noted, and only the answer was lost.
        if (awayTimes === 5) await job.calls.send(...args);
        throw new AppError('DATABASE_UNAVAILABLE', 'The database does not answer');
      },
    };
    const metered = new MeteredLm(
      { lm: client, calls },
      { jobId: job.id, leaseToken: 1, budget, earlier: [], late: new AbortController().signal },
    );
    const ask = () => metered.complete(asking('a'), { ...context(), signal: held.signal });
    awayTimes = 6;
    const answer = ask();
    await eventually(() => expect(awayTimes).toBe(0));
    expect([(await answer).finishReason, lm.calls]).toEqual(['stop', 1]);
    awayTimes = 1_000;
    const refused = failure(ask());
    await eventually(() => expect(awayTimes).toBeLessThan(999));
    held.abort(new AppError('WORKER_LOST', 'The job was taken over by another process'));
    expect([(await refused).reason, lm.calls]).toEqual(['WORKER_LOST', 1]);
    expect(await job.spend()).toMatchObject({ lmCalls: 1 });
  });

  it('keep failures without an answer, so that they are asked again', async () => {
    const job = await newJob();
    const { metered } = await job.meter();
    lm.enqueue({ kind: 'status', status: 400, message: 'no' }, { kind: 'text', text: 'now' });
    expect((await failure(metered.complete(asking('a'), context()))).reason).toBe('LM_ERROR');
    const again = await job.meter();
    expect((await again.metered.complete(asking('a'), context())).text).toBe('now');
    expect((await job.calls.read(job.id)).map(({ reply }) => reply)).toEqual([undefined, 'now']);
  });
});
