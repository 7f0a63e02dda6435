import { performance } from 'node:perf_hooks';
import { expect, it } from 'vitest';
import { json, plain } from '../test-support/executor.ts';
import { ref, usePipelines } from '../test-support/use-pipelines.ts';

const { test, run } = usePipelines();

// Each step computes for some tens of milliseconds and waits for nothing.
function busy(slug: string): string {
  const $cel = 'size(input.l.map(a, input.l.map(b, a * b)))';
  const steps = Array.from({ length: 40 }, (_, at) => ({
    ...{ id: `s${at}`, type: 'function', function: 'value', input: { n: { $cel } } },
    ...(at === 0 ? {} : { needs: [`s${at - 1}`] }),
  }));
  const pipeline = { inputs: 'l: list[int]', steps, return: ref('steps.s39') };
  test.registry.put({ slug, spec: 'l: list[int] -> result: str', pipeline });
  return slug;
}

const inputs = json({ l: Array.from({ length: 130 }, (_, at) => at) });

it('lets others run between steps that only compute', async () => {
  const program = busy('busy');
  let [lastMs, longestMs] = [performance.now(), 0];
  const ticks = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - lastMs);
    lastMs = performance.now();
  }, 1);
  const begunMs = performance.now();
  try {
    expect(plain((await run(program, { inputs })).outputs)).toEqual({ n: 130 });
  } finally {
    clearInterval(ticks);
  }
  expect(longestMs).toBeLessThan((performance.now() - begunMs) / 4);
});

it('ends a run in time whose steps only compute', async () => {
  const asked = run(busy('busy-too'), { inputs, executionOptions: { timeoutMs: 100n } } as never);
  await expect(asked).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
});
