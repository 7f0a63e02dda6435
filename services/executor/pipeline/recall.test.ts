import type { Binding, Pipeline, Step } from '@signet/pipeline/pipeline.ts';
import { JsonNumber, plainFromJson } from '@signet/signature/json.ts';
import { describe, expect, it } from 'vitest';
import type { StepOutcome } from '../execution/store.postgres.ts';
import { recall } from './recall.ts';

const nothing: Binding = { kind: 'literal', value: null };

function step(id: string, more: Partial<Step> = {}): Step {
  const base = { id, needs: [], retries: 0, onError: 'fail', kind: 'function', function: 'value', input: nothing };
  return { ...base, ...more } as Step;
}

const group = (id: string, steps: readonly Step[], more: Partial<Step> = {}): Step =>
  step(id, { kind: 'group', steps, maxConcurrency: 1, ...more } as Partial<Step>);

async function recalled(steps: readonly Step[], outcomes: readonly StepOutcome[]) {
  const pipeline: Pipeline = { inputs: [], outputs: [], steps, return: nothing };
  const { results, ended, isDone } = await recall(
    { pipeline, inputs: new Map([['n', new JsonNumber('1')]]) },
    outcomes,
  );
  return { results: plainFromJson(new Map(results)), ended: ended.map(({ id }) => id), isDone };
}

/** A step's execution that ended well after so many milliseconds, with its name for a result. */
const well = (of: string, endMs: number, result: unknown = of): StepOutcome => ({
  ...{ id: `${of}-${endMs}`, step: of, status: 'completed', metricsJson: '{}', endMs },
  outputsJson: JSON.stringify({ result }),
});
const failed = (of: string, endMs: number): StepOutcome => ({
  ...{ id: `${of}-${endMs}`, step: of, status: 'failed', metricsJson: '{}', endMs, outputsJson: '{}' },
});

describe('what a run has come to', () => {
  it('is what its steps gave, in the order of their ends', async () => {
    const steps = [step('a'), step('b'), step('c', { needs: ['a'] }), step('never', { needs: ['c', 'missing'] })];
    const found = await recalled(steps, [well('a', 3), well('b', 1), well('c', 5)]);
    expect(found).toMatchObject({ results: { a: 'a', b: 'b', c: 'c' }, ended: ['b', 'a', 'c'] });
  });

  it('puts nothing before what it was made of, though that was committed later', async () => {
    const steps = [step('a'), step('b', { needs: ['a'] }), step('c', { needs: ['b'] })];
    expect((await recalled(steps, [well('a', 9), well('b', 7), well('c', 8)])).ended).toEqual(['a', 'b', 'c']);
  });

  it('takes the last try that ended well, and none that failed', async () => {
    const steps = [step('a', { retries: 3 }), step('b')];
    const found = await recalled(steps, [failed('a', 1), well('a', 3, 'last'), well('a', 2, 'first'), failed('b', 4)]);
    expect(found).toMatchObject({ results: { a: 'last' }, ended: ['a'] });
  });

  it('knows the outputs of a module as they are', async () => {
    const module = step('m', { kind: 'module', module: 'm', moduleId: 'm' } as Partial<Step>);
    expect((await recalled([module], [well('m', 1)])).results).toEqual({ m: { result: 'm' } });
  });

  it('has null for what was left out or whose failure counts for nothing, and goes on behind it', async () => {
    const cel = (expression: string): Binding => ({ kind: 'cel', expression });
    const steps = [
      step('out', { when: cel('input.n > 1') }),
      step('in', { when: cel('input.n == 1') }),
      step('broken', { when: cel('int("x") == 1') }),
      step('skipped', { onError: 'skip' }),
      step('last', { needs: ['out', 'skipped'] }),
      step('never', { needs: ['broken'] }),
    ];
    const found = await recalled(steps, [well('in', 1), failed('skipped', 2), well('last', 3), well('never', 4)]);
    expect(found).toMatchObject({
      results: { out: null, in: 'in', skipped: null, last: 'last' },
      ended: ['in', 'last'],
    });
  });

  it('has what stood in for a step, which did not end well itself', async () => {
    const steps = [step('a', { onError: 'compensate', compensate: step('instead') }), step('b', { needs: ['a'] })];
    const found = await recalled(steps, [failed('a', 1), well('instead', 2), well('b', 3)]);
    expect(found).toMatchObject({ results: { a: 'instead', b: 'b' }, ended: ['b'] });
  });

  it('has a group with those that ended well, or those alone', async () => {
    const all = [group('g', [step('a'), step('b')]), step('c', { needs: ['g'] })];
    expect(await recalled(all, [well('a', 2), well('b', 1), well('c', 3)])).toMatchObject({
      results: { g: { a: 'a', b: 'b' }, c: 'c' },
      ended: ['b', 'a', 'g', 'c'],
    });
    expect(await recalled(all, [well('a', 2), failed('b', 1)])).toMatchObject({ results: {}, ended: ['a'] });
    const one = [group('g', [step('a'), step('b')], { minSuccess: 1 } as Partial<Step>)];
    expect(await recalled(one, [well('b', 2), failed('a', 3)])).toMatchObject({
      results: { g: { b: 'b' } },
      ended: ['b', 'g'],
    });
    expect(await recalled([group('g', [step('a', { onError: 'skip' })])], [])).toMatchObject({ results: { g: {} } });
  });

  it('tells what was undone already', async () => {
    const undo = group('undo', [step('x'), step('y')]);
    expect(await (await recalled([step('a', { undo })], [well('a', 1), well('x', 2)])).isDone(undo)).toBe(false);
    expect(await (await recalled([step('a', { undo })], [well('a', 1), well('x', 2), well('y', 3)])).isDone(undo)).toBe(
      true,
    );
  });

  it('is nothing where nothing was begun, or all of it failed', async () => {
    expect(await recalled([step('a'), step('b', { needs: ['a'] })], [])).toMatchObject({ results: {}, ended: [] });
    expect(await recalled([step('a')], [failed('a', 1), well('stranger', 2)])).toMatchObject({
      results: {},
      ended: [],
    });
  });
});
