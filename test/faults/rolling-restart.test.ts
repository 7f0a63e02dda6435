import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findFaults, gatherEvidence } from '../support/execution-audit.ts';
import { createHttpClient } from '../support/http.ts';
import { readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { SteadyLoad } from '../support/steady-load.ts';
import { startTwinStack, type TwinStack } from '../support/twin-stack.ts';

const CALLERS = 12;

const missing = whyNoPython();
if (missing !== undefined) console.warn(`restarting services under load is left out: ${missing}`);

describe.skipIf(missing !== undefined)('a rolling restart under load', () => {
  let lm: ScriptedLm;
  let stack: TwinStack;
  let load: SteadyLoad;

  beforeAll(async () => {
    lm = await startScriptedLm({ behaviour: { kind: 'answer', delayMs: 150, gapMs: 5 } });
    stack = await startTwinStack(lm.url);
    const http = createHttpClient(stack.doors[0].http, stack.adminKey);
    const slow = { configuration: { metadata: { mock: { latency_ms: 120 } } } };
    const programs = await Promise.all([
      readyProgram({ http }, { adapterType: 'mock' }),
      readyProgram({ http }, { adapterType: 'mock', ...slow }),
      readyProgram({ http }, { adapterType: 'python_port' }),
    ]);
    await http.close();
    load = new SteadyLoad(
      stack.doors,
      stack.adminKey,
      programs.map(({ slug }) => String(slug)),
    );
    load.start(CALLERS);
  }, 120_000);
  afterAll(async () => {
    await load?.stop();
    await stack?.close();
    await lm?.close();
  }, 60_000);

  const served = async (calls: number): Promise<void> => {
    const before = load.count;
    await eventually(() => expect(load.count).toBeGreaterThan(before + calls), 30_000);
  };

  it.each(['registry', 'executor', 'gateway', 'sidecar'] as const)(
    'loses no call while both of %s are restarted, one after the other',
    { timeout: 120_000 },
    async (name) => {
      await served(50);
      for (const at of [0, 1] as const) {
        expect(await stack.restart(name, at)).toBe(0);
        await served(50);
      }
      expect(load.failures).toEqual([]);
    },
  );

  it('completes each execution once', { timeout: 60_000 }, async () => {
    await load.stop();
    expect(load.failures).toEqual([]);
    const evidence = await gatherEvidence(stack.databaseUrl, load.told);
    console.info(`${evidence.rows.length} executions,`, Object.fromEntries(load.answered));
    expect(findFaults(evidence)).toEqual([]);
    expect(evidence.rows.filter(({ status }) => status !== 'completed')).toEqual([]);
    expect(evidence.rows.length).toBe(load.told.length);
  });
});
