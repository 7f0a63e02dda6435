import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoPython } from '../support/python.ts';
import { type Ground, startGround } from './improvement-loop/ground.ts';
import { runRound } from './improvement-loop/round.ts';

const first = Number(process.env.SIGNET_FAULT_SEED ?? Date.now() % 1_000_000);
const seeds = Array.from({ length: Number(process.env.SIGNET_FAULT_ROUNDS ?? 1) }, (_, at) => first + at);

const missing = whyNoPython();
if (missing !== undefined) console.warn(`killing processes under the loop of improvement is left out: ${missing}`);

describe.skipIf(missing !== undefined)('kill -9 under pipelines, a batch and an optimization on two of each', () => {
  let ground: Ground;
  const undisturbed = new Map();
  beforeAll(async () => {
    ground = await startGround(first);
  }, 120_000);
  afterAll(() => ground?.close(), 60_000);

  it.each(seeds)('every run ends once and asks no model without need (seed %i)', { timeout: 240_000 }, async (seed) => {
    const { faults, ...report } = await runRound(ground, undisturbed, { seed });
    console.info(JSON.stringify(report));
    expect(faults).toEqual([]);
  });
});
