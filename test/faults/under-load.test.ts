import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DurablePostgres, startDurablePostgres } from '../support/durable-postgres.ts';
import { findFaults, gatherEvidence } from '../support/execution-audit.ts';
import { processesWith, workersOf } from '../support/processes.ts';
import { readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { query } from '../support/query.ts';
import { createRandom, type Random } from '../support/random.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { MixedLoad } from './mixed-load.ts';

/** A lease is over after 10 s, the reaper looks every second, and the run itself takes a moment. */
const SETTLED_MS = 30_000;
const CALLERS = 16;
/** So many fast calls at once before each kill, so that it falls between commits and answers. */
const BURST = 100;
const COMMIT_DELAY_US = 30_000;
const VICTIMS = ['executor', 'worker', 'sidecar', 'registry', 'gateway', 'postgres'] as const;
const rounds = Number(process.env.SIGNET_FAULT_ROUNDS ?? 1);
const seed = Number(process.env.SIGNET_FAULT_SEED ?? Date.now() % 1_000_000);

const missing = whyNoPython();
if (missing !== undefined) console.warn(`killing processes under load is left out: ${missing}`);

describe.skipIf(missing !== undefined)('kill -9 under a mixed load', () => {
  let postgres: DurablePostgres;
  let lm: ScriptedLm;
  let stack: Stack;
  let random: Random;
  let slugs: string[] = [];
  const workers = new Set<number>();

  beforeAll(async () => {
    random = createRandom(seed);
    const lmDelay = createRandom(seed + 1);
    [postgres, lm] = await Promise.all([
      startDurablePostgres(),
      startScriptedLm({ behaviour: () => ({ kind: 'answer', delayMs: 50 + lmDelay.below(250) }) }),
    ]);
    // As on a slow disk: an answer that did not wait for its commit is there well before it.
    await query(postgres.url, `alter system set commit_delay = ${COMMIT_DELAY_US}`);
    await query(postgres.url, 'alter system set commit_siblings = 0');
    await query(postgres.url, 'select pg_reload_conf()');
    stack = await startStack({ engines: 'python', lm: lm.url, databaseUrl: postgres.url });
    const slow = { configuration: { metadata: { mock: { latency_ms: 60 } } } };
    const programs = await Promise.all([
      readyProgram(stack, { adapterType: 'mock' }),
      readyProgram(stack, { adapterType: 'mock', ...slow }),
      readyProgram(stack, { adapterType: 'python_port' }),
    ]);
    slugs = programs.map(({ slug }) => String(slug));
  }, 120_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    await postgres?.close();
  }, 60_000);

  /** Kills one victim, leaves it dead for a moment, and starts it again. */
  const fell = async (victim: (typeof VICTIMS)[number]): Promise<void> => {
    if (victim === 'worker') {
      const living = workersOf(stack.pid('sidecar'));
      if (living.length > 0) process.kill(random.pick(living), 'SIGKILL');
      return;
    }
    if (victim === 'postgres') await postgres.kill();
    else await stack.kill(victim);
    await delay(random.below(800));
    if (victim === 'postgres') await postgres.restart();
    else await stack.restart(victim);
  };

  const openRows = (): Promise<Record<string, unknown>[]> =>
    query(postgres.url, `select id, status from executor.executions where status in ('pending', 'running')`);

  it(`QUA-05 ends once, and rightly, what was acknowledged (seed ${seed})`, {
    timeout: 120_000 * rounds + 60_000,
  }, async () => {
    const load = new MixedLoad(stack, random, slugs);
    load.start(CALLERS);
    let inFlightAtKills = 0;
    const victims = Array.from({ length: rounds }, () => random.shuffle(VICTIMS)).flat();
    while (victims.length > 0) {
      const before = load.told.length;
      // A kill is to hit work: callers are being served again since the last one.
      await eventually(() => expect(load.told.length).toBeGreaterThan(before + 60), SETTLED_MS);
      await delay(500 + random.below(2000));
      for (const pid of workersOf(stack.pid('sidecar'))) workers.add(pid);
      inFlightAtKills += load.inFlight + (await openRows()).length;
      await load.burst(BURST);
      // Now and then two fall together.
      await Promise.all(victims.splice(0, random.below(4) === 0 ? 2 : 1).map(fell));
    }
    await load.stop();
    await eventually(async () => expect(await openRows()).toEqual([]), SETTLED_MS, 200);
    const evidence = await gatherEvidence(postgres.url, load.told);
    console.info(`seed ${seed}: ${evidence.rows.length} executions,`, Object.fromEntries(load.outcomes));
    expect(findFaults(evidence)).toEqual([]);
    expect(load.wrongs).toEqual([]);
    const asked = evidence.rows.filter(({ engine }) => engine === 'python');
    const tries = asked.reduce((sum, { attempts }) => sum + attempts, 0);
    expect(lm.calls).toBeLessThanOrEqual(tries + inFlightAtKills);
    expect(lm.calls).toBeGreaterThanOrEqual(asked.filter(({ status }) => status === 'completed').length);
    // The door says of each execution what its row says.
    for (const { id, status } of evidence.rows.slice(-20)) {
      const shown = await stack.http.get(`/v1/executions/${id}`);
      expect([shown.status, shown.body.status]).toEqual([200, `EXECUTION_STATUS_${status.toUpperCase()}`]);
    }
  });

  it('leaves no process behind', async () => {
    await stack.close();
    await eventually(() => {
      expect(processesWith(stack.internalToken)).toEqual([]);
      const left = processesWith('signet_sidecar.worker').filter(({ pid }) => workers.has(pid));
      expect(left).toEqual([]);
    });
  });
});
