import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { demand, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { startSecondExecutor } from '../support/second-executor.ts';
import type { ServiceProcess } from '../support/service-process.ts';
import { type Stack, startStack } from '../support/stack.ts';

const LM_MS = 100;

const missing = whyNoPython();
if (missing !== undefined) console.warn(`batches on two executors are left out: ${missing}`);

describe.skipIf(missing !== undefined)('PRF-02 a batch on two executors', { timeout: 90_000 }, () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let second: ServiceProcess;
  let slug = '';
  /** When each question came in. */
  let askedMs: number[] = [];
  beforeAll(async () => {
    lm = await startScriptedLm({
      behaviour: () => {
        askedMs.push(performance.now());
        return { kind: 'answer', delayMs: LM_MS };
      },
    });
    stack = await startStack({ engines: 'python', lm: lm.url, env: { SIGNET_RATE_LIMIT: 'off' } });
    slug = String((await readyProgram(stack, { adapterType: 'native', signatureSpec: 'q: str -> a: str' })).slug);
    second = await startSecondExecutor(stack, {
      SIGNET_SIDECAR_ADDRESS: stack.address('sidecar'),
      SIGNET_LM_MODEL: 'openai/scripted',
      SIGNET_LM_API_BASE: lm.url,
    });
  }, 120_000);
  afterAll(async () => {
    await second?.stop();
    await stack?.close();
    await lm?.close();
  });

  async function begin(count: number, concurrency: number): Promise<string> {
    askedMs = [];
    const rows = Array.from({ length: count }, (_, n) => `${JSON.stringify({ q: `question ${n}` })}\n`).join('');
    const path = `/v1/batches:upload?program=${slug}&concurrency=${concurrency}`;
    const headers = { 'content-type': 'application/x-ndjson' };
    return String(demand(await stack.http.send('POST', path, rows, { headers }), 201).id);
  }

  const completes = (id: string) =>
    eventually(
      async () => {
        const batch = demand(await stack.http.get(`/v1/batches/${id}`), 200);
        expect(batch.status).toBe('BATCH_STATUS_COMPLETED');
        return batch;
      },
      60_000,
      100,
    );

  /** The shares of the executors that work on it. */
  const shares = async (id: string): Promise<number[]> => {
    const text = `select (share ->> 'places')::int as places from executor.batches, jsonb_array_elements(shares) share where id = $1`;
    return (await query(stack.databaseUrl, text, [id])).map(({ places }) => Number(places));
  };

  /** How many executors have items of it running. */
  const owners = async (id: string): Promise<number> => {
    const text = `select count(distinct lease_owner)::int as count from executor.executions where status = 'running' and labels ->> 'batch' = $1`;
    return Number((await query(stack.databaseUrl, text, [id]))[0]!.count);
  };

  /** The most questions that the model had before it at once: each stays for as long as it takes to answer. */
  function mostAtOnce(): number {
    const stayMs = LM_MS - 2;
    return Math.max(...askedMs.map((end, at) => askedMs.slice(0, at + 1).filter((ms) => ms > end - stayMs).length));
  }

  it('runs no more items at once than its concurrency, both together, and divides them', async () => {
    const id = await begin(400, 7);
    await eventually(async () => expect((await shares(id)).toSorted()).toEqual([3, 4]), 15_000, 20);
    await eventually(async () => expect(await owners(id)).toBe(2), 5_000, 20);
    expect(await completes(id)).toMatchObject({ completedCount: '400', failedCount: '0' });
    expect(lm.calls).toBe(400);
    expect(mostAtOnce()).toBe(7);
    expect(await shares(id)).toEqual([]);
  });

  it('gives one that stays all places at once when the other closes', async () => {
    const id = await begin(400, 6);
    await eventually(async () => expect(await shares(id)).toEqual([3, 3]), 15_000, 20);
    await second.stop();
    await eventually(async () => expect(await shares(id)).toEqual([6]), 5_000, 20);
    expect(await completes(id)).toMatchObject({ completedCount: '400', failedCount: '0' });
    expect(mostAtOnce()).toBe(6);
  });
});
