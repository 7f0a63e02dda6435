import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { INPUTS } from './inputs.ts';
import type { StageContext } from './stages.ts';

/** The name by which these figures are asked for. */
export const DSPY_MANY = 'DSPy over many';

const THREADS = 64;
const RUN_MAX_MS = 240_000;

/** Measures DSPy's own ways to run a program over many examples, with a model that answers at once. Gives a line of text for each. */
export async function measureDspyMany(context: StageContext, python: string): Promise<string[]> {
  const { bench, modelUrl } = context;
  // A quick run takes fewer: some 300 a second are done.
  const count = bench.options.seconds < 5 ? 3_000 : 10_000;
  await bench.setModel(0, 0);
  const lines: string[] = [];
  for (const kind of ['Parallel', 'Evaluate']) {
    const args = ['many.py', kind, modelUrl, String(count), String(THREADS), JSON.stringify(INPUTS)];
    const { PATH, HOME } = process.env;
    const env = { PATH, HOME, PYTHONDONTWRITEBYTECODE: '1', LITELLM_LOCAL_MODEL_COST_MAP: 'True' };
    const options = {
      ...{ cwd: join(import.meta.dirname, 'dspy'), timeout: RUN_MAX_MS },
      env: { ...env, DSPY_CACHEDIR: join(tmpdir(), `signet-bench-dspy-${process.pid}`) },
    };
    const { stdout } = await promisify(execFile)(python, args, options);
    const { items, seconds, peakMb } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, number>;
    const perSecond = (items ?? 0) / (seconds ?? 1);
    lines.push(
      `${items} items, LM 0 ms, dspy.${kind} with ${THREADS} threads: ${perSecond.toFixed(0)} items/s; at most ${peakMb} MB`,
    );
  }
  return lines;
}
