import { AppError } from '@signet/kit/error/app-error.ts';
import { describe, expect, it } from 'vitest';
import { type BeaconPlan, runBeacon } from './beacon.ts';

const plan: BeaconPlan = {
  steps: ['labeled_few_shot', 'bootstrap', 'mipro', 'simba'],
  patience: 1,
  minGain: 0,
  maxDemos: 2,
  trainCount: 9,
  validationCount: 5,
};
const exhausted = new AppError('BUDGET_EXCEEDED', 'over');

/** A policy over steps whose results score as told; a step that is an error fails with it. */
async function take(scores: Record<string, number | AppError>, more: Partial<BeaconPlan> = {}) {
  const way: string[] = [];
  const told: string[] = [];
  const result = await runBeacon(
    { ...plan, ...more },
    {
      async evaluate(stateJson) {
        const score = scores[stateJson === '' ? 'base' : stateJson.split('>').at(-1)!]!;
        if (score instanceof AppError) throw score;
        return { stateJson: stateJson === '' ? 'base' : stateJson, score };
      },
      async improve(step, config, stateJson) {
        way.push(`${step} from ${stateJson}`);
        const score = scores[step];
        if (score instanceof AppError) throw score;
        expect(config).not.toHaveProperty('num_threads');
        return { stateJson: `${stateJson}>${step}`, score: undefined };
      },
      tell: (message) => told.push(message),
    },
  );
  return { way, told, result };
}

describe('beacon', () => {
  it('goes on from the best as long as the score rises, and stops where a step brings nothing', async () => {
    const { way, result, told } = await take({
      base: 0.2,
      labeled_few_shot: 0.5,
      bootstrap: 0.8,
      mipro: 0.8,
      simba: 1,
    });
    expect(way).toEqual([
      ...['labeled_few_shot from base', 'bootstrap from base>labeled_few_shot'],
      'mipro from base>labeled_few_shot>bootstrap',
    ]);
    expect(result).toEqual({ stateJson: 'base>labeled_few_shot>bootstrap', score: 0.8, isExhausted: false });
    expect(told[2]).toBe('mipro: 0.800 → 0.800, which is no gain');
  });

  it('has the patience that it is told to have, and goes on from the best behind a step that was worse', async () => {
    const scores = { base: 0.2, labeled_few_shot: 0.1, bootstrap: 0.15, mipro: 0.9, simba: 0.95 };
    const { way, result } = await take(scores, { patience: 3 });
    expect(way.at(-1)).toBe('simba from base>mipro');
    expect(result.score).toBe(0.95);
    expect((await take(scores, { patience: 2 })).result).toMatchObject({ stateJson: 'base', score: 0.2 });
  });

  it('counts a rise only from its least gain on, and stops at a perfect score', async () => {
    const small = { base: 0.5, labeled_few_shot: 0.54, bootstrap: 1, mipro: 1, simba: 1 };
    expect((await take(small, { minGain: 0.05 })).result.stateJson).toBe('base');
    expect((await take(small)).way).toHaveLength(2);
    expect((await take({ base: 1 })).way).toEqual([]);
  });

  it('leaves out what a program or its data are not for, and goes on', async () => {
    const unfit = new AppError('INVALID_REQUEST', 'too few examples');
    const { way, told, result } = await take({ base: 0.1, labeled_few_shot: unfit, bootstrap: 0.4, mipro: 0.3 });
    expect(way).toHaveLength(3);
    expect(told[0]).toBe('labeled_few_shot was left out: too few examples');
    expect(result.score).toBe(0.4);
  });

  it('keeps the best where the budget ends; without any measurement it fails', async () => {
    const amid = await take({ base: 0.1, labeled_few_shot: 0.3, bootstrap: exhausted });
    expect(amid.result).toEqual({ stateJson: 'base>labeled_few_shot', score: 0.3, isExhausted: true });
    await expect(take({ base: exhausted })).rejects.toBe(exhausted);
  });

  it('fails as a step fails for reasons that are not its own', async () => {
    const cancelled = new AppError('CANCELLED', 'stop');
    await expect(take({ base: 0.1, labeled_few_shot: cancelled })).rejects.toBe(cancelled);
  });
});
