import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ProgramStatus } from '@signet/proto/gen/signet/v1/program.ts';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { type FakeRegistry, startFakeRegistry } from '../catalog/registry.fake.ts';
import { createFakeDatasets, type FakeDatasets } from '../dataset/datasets.fake.ts';
import { type Database, openDatabase } from '../db/pool.ts';
import { cancelledFault } from '../execution/lease.postgres.ts';
import { startDatabaseProxy } from '../test-support/database-proxy.ts';
import { callerContext, internalToken } from '../test-support/executor.ts';
import { createTestProcess, type TestProcess } from '../test-support/owned-deps.ts';
import { mockOf } from '../test-support/use-executor.ts';
import { awaitEvaluation } from './await-evaluation.ts';
import { cancelEvaluation } from './cancel-evaluation.ts';
import type { Evaluation } from './evaluation.ts';
import { EvaluationRunner } from './evaluation-runner.ts';
import { createEvaluationLeases } from './lease.postgres.ts';
import type { EvaluateDeps } from './run-evaluation.ts';
import { type StartInput, startEvaluation } from './start-evaluation.ts';
import { createEvaluationStore } from './store.postgres.ts';

let postgres: TestDatabase;
let registry: FakeRegistry;
let datasets: FakeDatasets;
let database: Database;
let sql: pg.Client;
const inside: Inside[] = [];
const never = new AbortController().signal;

type Inside = {
  readonly process: TestProcess;
  readonly deps: EvaluateDeps & Pick<TestProcess, 'registry'>;
  readonly runner: EvaluationRunner;
};

beforeAll(async () => {
  postgres = await createTestDatabase(['executor']);
  registry = await startFakeRegistry(internalToken);
  registry.put({ slug: 'qa', spec: 'q: str -> a: str' });
  registry.put({ slug: 'slow', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 120 }) });
  registry.put({ slug: 'gone', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 120 }) });
  registry.put({ slug: 'stuck', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 60_000 }) });
  datasets = createFakeDatasets();
  datasets.put('few', rows(12));
  datasets.put('many', rows(450));
  database = openDatabase({ log: createLogger('executor', 'silent') }, postgres.url, { connectionMax: 5 });
  sql = new pg.Client(postgres.url);
  await sql.connect();
});

afterEach(async () => {
  datasets.refuse();
  await Promise.all(inside.map(({ runner }) => runner.close(0)));
  await Promise.all(inside.splice(0).map(({ process }) => process.close()));
});

afterAll(async () => {
  await sql.end();
  await database.close();
  await registry.close();
  await postgres.drop();
});

function rows(count: number) {
  return Array.from({ length: count }, (_, at) => ({ inputs: { q: `q${at}` }, outputs: { a: `a${at}` } }));
}

function begin(url = postgres.url, own = database): Inside {
  const process = createTestProcess(url, registry);
  const lmClient = { complete: () => Promise.reject(new Error('nobody is asked')) };
  const deps = {
    ...process,
    lmClient,
    reading: {},
    datasets,
    evaluationStore: createEvaluationStore(own),
    evaluationLeases: createEvaluationLeases(own, newId()),
  };
  const runner = new EvaluationRunner(deps, 2);
  const made = { process, deps, runner };
  inside.push(made);
  return made;
}

const store = () => createEvaluationStore(database);

async function start({ deps }: Inside, input: Partial<StartInput> = {}): Promise<Evaluation> {
  const whole = {
    program: 'qa',
    version: 0,
    dataset: 'few',
    datasetVersion: 0,
    splits: [],
    concurrency: 4,
    labels: {},
  };
  const asked = { ...whole, metric: { kind: 'exact_match' as const }, options: {}, ...input };
  const evaluationRunner = { wake: () => inside.forEach(({ runner }) => void runner.wake()) };
  return startEvaluation({ ...deps, evaluationStore: store(), evaluationRunner }, asked, callerContext());
}

const end = (id: string) => awaitEvaluation({ evaluationStore: store() }, id, AbortSignal.timeout(25_000));

async function executionsOf(id: string): Promise<{ id: string; status: string; attempts: number }[]> {
  const text = `select id::text, status, attempts from executor.executions where labels ->> 'evaluation' = $1`;
  return (await sql.query(text, [id])).rows;
}

describe('evaluations under leases', () => {
  it('run every example once, pages of them, each as an execution of its own', async () => {
    const one = begin();
    one.runner.start();
    const { id } = await start(one, { dataset: 'many', concurrency: 32 });
    const evaluation = await end(id);
    expect(evaluation).toMatchObject({ status: 'completed', exampleCount: 450, resultCount: 450, errorCount: 0 });
    const made = await executionsOf(id);
    expect(new Set(made.map((each) => each.id)).size).toBe(450);
    expect(made.every(({ status, attempts }) => status === 'completed' && attempts === 1)).toBe(true);
    expect(evaluation.figures).toMatchObject({ ci_low: 0, ci_method: 'wilson' });
  });

  it('are found again by an id that was chosen, and begun once', async () => {
    const one = begin();
    one.runner.start();
    const id = newId();
    const all = await Promise.all(Array.from({ length: 5 }, () => start(one, { id })));
    expect(new Set(all.map((each) => each.id))).toEqual(new Set([id]));
    expect(await end(id)).toMatchObject({ resultCount: 12, attempts: 1 });
    expect(await executionsOf(id)).toHaveLength(12);
    expect((await start(one, { id, dataset: 'many' })).exampleCount).toBe(12);
  });

  it('run no more examples at once than was said', async () => {
    const one = begin();
    one.runner.start();
    const { id } = await start(one, { program: 'slow', concurrency: 3 });
    let most = 0;
    while ((await store().get(id)).status !== 'completed') most = Math.max(most, one.process.live.size);
    expect(most).toBeLessThanOrEqual(3);
    expect(most).toBeGreaterThan(1);
  });

  it('go on elsewhere at once when their executor leaves, and nothing is run twice', async () => {
    const one = begin();
    one.runner.start();
    const { id } = await start(one, { program: 'slow', concurrency: 2 });
    await eventually(async () => expect((await store().get(id)).resultCount).toBeGreaterThan(1));
    await one.runner.close(5_000);
    const between = await store().get(id);
    expect(between).toMatchObject({ status: 'pending' });
    expect(between.resultCount).toBeLessThan(12);
    const two = begin();
    two.runner.start();
    expect(await end(id)).toMatchObject({ status: 'completed', resultCount: 12, attempts: 2 });
    expect((await executionsOf(id)).map(({ attempts }) => attempts)).toEqual(Array(12).fill(1));
  });

  it('are taken over when their lease runs out; who lost it keeps no result any more', async () => {
    const one = begin();
    one.runner.start();
    const { id } = await start(one, { program: 'stuck', concurrency: 1 });
    await eventually(async () => expect((await executionsOf(id)).length).toBe(1));
    await sql.query(
      `update executor.evaluations set lease_until = now() - interval '1 second', lease_owner = 'lost',
      lease_token = lease_token + 1 where id = $1`,
      [id],
    );
    const claims = await createEvaluationLeases(database, 'another').claim(5);
    expect(claims.map(({ evaluation, losses }) => [evaluation.id, losses])).toEqual([[id, 1]]);
    const stale = { id, token: 1 };
    expect(await one.deps.evaluationLeases.add(stale, [])).toBe(false);
    const nothing = { status: 'completed' as const, figures: undefined, mean: undefined, fault: undefined };
    expect(await one.deps.evaluationLeases.finish(stale, nothing)).toBe(false);
    await eventually(() => expect(one.process.live.size).toBe(0), 10_000);
    expect((await store().get(id)).status).toBe('running');
    await createEvaluationLeases(database, 'another').release({ id, token: claims[0]!.token });
    await createEvaluationLeases(database, 'x').cancel(id, cancelledFault);
  });

  it('share the work of two executors, each evaluation in one of them', async () => {
    const [one, two] = [begin(), begin()];
    one.runner.start();
    two.runner.start();
    const all = await Promise.all(Array.from({ length: 6 }, () => start(one, { program: 'slow', concurrency: 6 })));
    for (const { id } of all) expect(await end(id)).toMatchObject({ resultCount: 12, attempts: 1 });
    const { rows: owners } = await sql.query(
      `select count(*)::int as count from executor.executions where labels ->> 'evaluation' = any($1)`,
      [all.map(({ id }) => id)],
    );
    expect(owners[0].count).toBe(72);
    expect(Math.min(one.process.mock.runs, two.process.mock.runs)).toBeGreaterThan(0);
  });

  it('end CANCELLED at once where nobody has begun, and with what runs where somebody has', async () => {
    const one = begin();
    const waiting = await start(one);
    const cancel = (id: string) =>
      cancelEvaluation({ ...one.deps, evaluationStore: store(), evaluationRunner: one.runner }, id, never);
    expect(await cancel(waiting.id)).toMatchObject({ status: 'cancelled', resultCount: 0 });
    one.runner.start();
    const { id } = await start(one, { program: 'stuck', concurrency: 3 });
    await eventually(async () => expect((await executionsOf(id)).length).toBe(3));
    expect(await cancel(id)).toMatchObject({ status: 'cancelled', resultCount: 0, error: { reason: 'CANCELLED' } });
    expect((await executionsOf(id)).map(({ status }) => status)).toEqual(['cancelled', 'cancelled', 'cancelled']);
    expect(await cancel(id)).toMatchObject({ status: 'cancelled' });
  });

  it('end FAILED when their program stops serving, with the results until then', async () => {
    const one = begin();
    one.process.catalog.start();
    one.runner.start();
    const { id } = await start(one, { program: 'gone', concurrency: 1 });
    await eventually(async () => expect((await store().get(id)).resultCount).toBeGreaterThan(0));
    registry.change('gone', { status: ProgramStatus.PROGRAM_STATUS_ARCHIVED });
    const evaluation = await end(id);
    expect(evaluation).toMatchObject({ status: 'failed', error: { reason: 'PROGRAM_NOT_READY' } });
    expect(evaluation.resultCount).toBeGreaterThan(0);
    expect(evaluation.resultCount).toBeLessThan(12);
  });

  it('wait while the registry is away, and go on', async () => {
    const one = begin();
    const { id } = await start(one);
    datasets.refuse(new AppError('SERVICE_UNAVAILABLE', 'The registry is away'));
    one.runner.start();
    await eventually(async () => expect((await store().get(id)).attempts).toBeGreaterThan(1), 10_000);
    expect(await store().get(id)).toMatchObject({ resultCount: 0 });
    datasets.refuse();
    expect(await end(id)).toMatchObject({ status: 'completed', resultCount: 12 });
  });

  it('survive the loss of their database, and keep what was answered before it', async () => {
    const proxy = await startDatabaseProxy(postgres.url);
    const log = createLogger('executor', 'silent');
    const own = openDatabase({ log }, proxy.url, { connectionMax: 5 });
    try {
      const one = begin(proxy.url, own);
      one.process.housekeeper.start();
      one.process.runner.start();
      one.runner.start();
      const { id } = await start(one, { program: 'slow', dataset: 'few', concurrency: 2 });
      await eventually(async () => expect((await store().get(id)).resultCount).toBeGreaterThan(1));
      await proxy.cut();
      const before = (await store().get(id)).resultCount;
      // Long enough for what was under way to end while nobody can write.
      const cutMs = performance.now();
      await eventually(() => expect(performance.now() - cutMs).toBeGreaterThan(1_000));
      await proxy.restore();
      expect(await end(id)).toMatchObject({ status: 'completed', resultCount: 12, errorCount: 0 });
      expect(before).toBeLessThan(12);
      expect(await executionsOf(id)).toHaveLength(12);
      await one.runner.close(0);
      await one.process.housekeeper.close();
    } finally {
      await own.close();
      await proxy.close();
    }
  });

  it('end FAILED after ten processes were lost with them', async () => {
    const one = begin();
    const { id } = await start(one);
    await sql.query(`update executor.evaluations set losses = 10 where id = $1`, [id]);
    one.runner.start();
    expect(await end(id)).toMatchObject({ status: 'failed', error: { reason: 'WORKER_LOST' }, resultCount: 0 });
  });

  it('change no more after their end', async () => {
    const one = begin();
    one.runner.start();
    const { id } = await start(one);
    await end(id);
    await expect(sql.query('update executor.evaluations set mean = 1 where id = $1', [id])).rejects.toThrow(
      'has ended',
    );
  });
});
