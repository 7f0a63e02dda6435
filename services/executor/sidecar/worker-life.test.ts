import { join } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import { parseAddresses } from '@signet/kit/config/env.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { AdapterType } from '@signet/proto/gen/signet/v1/common.ts';
import { ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import { ProgramConfiguration } from '@signet/proto/gen/signet/v1/program.ts';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { createTestDatabase } from '../../../test/support/database.ts';
import { whyNoPython } from '../../../test/support/python.ts';
import { type PythonSidecar, startPythonSidecar } from '../../../test/support/python-sidecar.ts';
import {
  type Behaviour,
  type ScriptedLm,
  type SeenRequest,
  startScriptedLm,
} from '../../../test/support/scripted-lm.ts';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import {
  callerContext,
  create,
  execute,
  json,
  read,
  startTestExecutor,
  type TestExecutor,
  wait,
} from '../test-support/executor.ts';
import { SupervisorClient } from './supervisor-client.ts';

const userCode = {
  SIGNET_PYTHON_PATH: join(import.meta.dirname, '..', '..', '..', 'test', 'fixtures', 'python'),
  SIGNET_PYTHON_MODULES:
    'Moody=seed_programs:Moody@shared,TwoHops=seed_programs:TwoHops,Brief=seed_programs:short_is_better',
};
const status = ExecutionStatus;
const internalToken = 'a token of the tests';

if (whyNoPython() !== undefined) console.warn(`skipped: ${whyNoPython()}`);

type World = {
  readonly lm: ScriptedLm;
  readonly sidecars: PythonSidecar[];
  readonly executor: TestExecutor;
  readonly sql: pg.Client;
};

describe.skipIf(whyNoPython() !== undefined)('the life of workers', { timeout: 120_000 }, () => {
  const closers: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  }, 60_000);

  async function open(
    env: NodeJS.ProcessEnv,
    more: { sidecars?: number; workers?: number; behaviour?: (seen: SeenRequest) => Behaviour } = {},
  ): Promise<World> {
    const database = await createTestDatabase(['executor']);
    closers.push(() => database.drop());
    const lm = await startScriptedLm({ behaviour: more.behaviour ?? (() => ({ kind: 'answer', delayMs: 300 })) });
    closers.push(() => lm.close());
    const start = () =>
      startPythonSidecar({
        workers: more.workers ?? 1,
        env: { SIGNET_INTERNAL_TOKEN: internalToken, ...userCode, ...env },
      });
    const sidecars = await Promise.all(Array.from({ length: more.sidecars ?? 1 }, start));
    closers.push(() => Promise.all(sidecars.map((sidecar) => sidecar.stop())));
    const executor = await startTestExecutor(database.url, {
      parts: { engines: undefined },
      config: {
        sidecarAddresses: parseAddresses(sidecars.map(({ address }) => address).join(','))!,
        lm: lmEndpoint({ model: 'openai/x', apiBase: lm.url, apiKey: '', constrained: 'none' }),
      },
    });
    closers.push(() => executor.close());
    const sql = new pg.Client(database.url);
    await sql.connect();
    closers.push(() => sql.end());
    const put = (slug: string, module: string, moduleConfig?: object): void => {
      const configuration = ProgramConfiguration.fromPartial({ module, ...(moduleConfig && { moduleConfig }) });
      const adapterType = AdapterType.ADAPTER_TYPE_PYTHON_PORT;
      executor.registry.put({ slug, spec: 'question: str -> answer: str', adapterType, configuration });
    };
    put('moody', 'python:Moody');
    put('hops', 'python:TwoHops', { kwargs: { hops: 3 } });
    put('plain', 'predict');
    put('best', 'best_of_n', { N: 2, threshold: 1, reward_fn: 'Brief' });
    await eventually(() => execute(executor, ask('plain')), 30_000);
    return { lm, sidecars, executor, sql };
  }

  const ask = (program: string, question = 'well?') => ({ program, inputs: json({ question }) });

  async function poolOf(sidecar: PythonSidecar) {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${internalToken}`);
    const client = new SupervisorClient(sidecar.address, metadata);
    try {
      return await client.getPool(0, { deadlineMs: Date.now() + 5_000 });
    } finally {
      client.close();
    }
  }

  async function ends(sql: pg.Client, slug: string): Promise<Record<string, number>> {
    const { rows } = await sql.query(
      `select e.status || coalesce(' ' || (x.error ->> 'reason'), '') as how, count(*)::int as n
       from executor.execution_ends e join executor.executions x on x.id = e.execution_id where x.slug = $1 group by 1`,
      [slug],
    );
    return Object.fromEntries(rows.map(({ how, n }) => [how, n]));
  }

  it('lets 100 innocent executions finish once each beside one that kills its process, which fails alone', async () => {
    const { executor, sql, lm } = await open({ SIGNET_SIDECAR_SOLO_WORKERS: '2' });
    lm.reset();
    const ctx = () => callerContext({ deadlineMs: Date.now() + 60_000 });
    const innocent = Array.from({ length: 80 }, (_, at) => execute(executor, ask('moody', `well ${at}?`), ctx()));
    const detached = Array.from({ length: 20 }, (_, at) => create(executor, ask('moody', `later ${at}?`)));
    await eventually(() => expect(lm.calls).toBeGreaterThan(50), 15_000);
    const poison = await execute(executor, ask('moody', 'die'), ctx()).catch((error) => error);
    expect(poison).toMatchObject({ reason: 'WORKER_LOST' });
    const answers = await Promise.all(innocent);
    expect(answers.every((answer) => answer.status === status.EXECUTION_STATUS_COMPLETED)).toBe(true);
    for (const made of await Promise.all(detached)) {
      expect((await wait(executor, made.id, 60_000, ctx())).status).toBe(status.EXECUTION_STATUS_COMPLETED);
    }
    expect(await ends(sql, 'moody')).toEqual({ completed: 100, 'failed WORKER_LOST': 1 });
    const { rows } = await sql.query(
      `select max(worker_losses) as most, count(*) filter (where worker_losses = 1)::int as repeated from executor.executions
       where slug = 'moody' and status = 'completed'`,
    );
    expect(rows[0].most).toBe(1);
    expect(rows[0].repeated).toBeGreaterThan(50);
    const failed = await read(executor, poison.metadata.executionId);
    expect(failed).toMatchObject({ workerLosses: 2, attempts: 2 });
  });

  it('fails a detached poison by itself once its budget is used up, and harms nobody on its way', async () => {
    const { executor, sql } = await open({});
    const poison = await create(executor, ask('moody', 'die'));
    const ended = await wait(executor, poison.id, 60_000, callerContext({ deadlineMs: Date.now() + 60_000 }));
    expect(ended).toMatchObject({
      status: status.EXECUTION_STATUS_FAILED,
      error: { reason: 'WORKER_LOST' },
      workerLosses: 3,
    });
    await execute(executor, ask('plain'));
    expect(await ends(sql, 'moody')).toEqual({ 'failed WORKER_LOST': 1 });
  });

  it('runs custom code alone, as many at a time as there are solo workers, and plain programs beside it', async () => {
    const { executor, lm } = await open({ SIGNET_SIDECAR_SOLO_WORKERS: '2' });
    const custom = Array.from({ length: 4 }, () => execute(executor, ask('hops')));
    const plain = Array.from({ length: 20 }, () => execute(executor, ask('plain')));
    await Promise.all([...custom, ...plain]);
    lm.reset();
    expect(JSON.parse(String((await execute(executor, ask('best'))).outputs?.kind?.value))).toEqual({
      answer: 'scripted answer',
    });
    expect(lm.calls).toBe(1);
    const raised = await execute(executor, ask('moody', 'raise')).catch((error) => error);
    expect(raised).toMatchObject({ reason: 'MODULE_FAILED' });
  });

  it('replaces workers that have run enough while executions come and go, none refused and none lost', async () => {
    const { executor, sidecars, sql } = await open(
      { SIGNET_SIDECAR_RECYCLE_RUNS: '100', SIGNET_SIDECAR_SOLO_WORKERS: '1' },
      { workers: 2, behaviour: () => ({ kind: 'answer', delayMs: 20 }) },
    );
    let done = 0;
    let going = true;
    const caller = async (): Promise<void> => {
      while (going) {
        const { executionId } = await execute(executor, ask('plain'));
        expect(executionId).not.toBe('');
        done += 1;
      }
    };
    const callers = Promise.all(Array.from({ length: 8 }, caller));
    await eventually(async () => expect(Number((await poolOf(sidecars[0]!)).recycled)).toBeGreaterThan(1), 60_000, 500);
    going = false;
    await callers;
    const { rows } = await sql.query(
      `select count(*)::int as n from executor.executions where worker_losses > 0 or status <> 'completed'`,
    );
    expect(rows[0].n).toBe(0);
    expect(done).toBeGreaterThan(200);
    const { restarts, lost } = await poolOf(sidecars[0]!);
    expect([restarts, lost]).toEqual([0n, 0n]);
  });

  it('drains one sidecar after the other under load without one failed call', async () => {
    const { executor, sidecars, sql } = await open(
      {},
      { sidecars: 2, behaviour: () => ({ kind: 'answer', delayMs: 100 }) },
    );
    let going = true;
    let done = 0;
    const caller = async (): Promise<void> => {
      while (going) {
        await execute(executor, ask('plain'));
        done += 1;
      }
    };
    const callers = Promise.all(Array.from({ length: 16 }, caller));
    const [first, second] = sidecars;
    const port = first!.address;
    await eventually(() => expect(done).toBeGreaterThan(100), 20_000);
    await first!.stop();
    const again = await startPythonSidecar({
      workers: 1,
      env: { SIGNET_INTERNAL_TOKEN: internalToken, ...userCode, SIGNET_SIDECAR_ADDRESS: port },
    });
    sidecars[0] = again;
    const before = done;
    await eventually(() => expect(done).toBeGreaterThan(before + 300), 20_000);
    await second!.stop();
    sidecars.pop();
    const after = done;
    await eventually(() => expect(done).toBeGreaterThan(after + 100), 20_000);
    going = false;
    await callers;
    const { rows } = await sql.query(
      `select count(*)::int as n from executor.executions where worker_losses > 0 or status <> 'completed'`,
    );
    expect(rows[0].n).toBe(0);
  });
});
