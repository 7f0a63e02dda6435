import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpAnswer, JsonObject } from '../support/http.ts';
import { workersOf } from '../support/processes.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** Longer than runs wait for a worker that does not come. */
const AWAY_MS = 14_000;
const LM_MS = 20;

const missing = whyNoPython();
if (missing !== undefined) console.warn(`killing all workers is left out: ${missing}`);

type Seen = { readonly atMs: number; readonly ms: number; readonly answer: HttpAnswer };

/** One who calls a program again and again until told to stop. */
class Caller {
  readonly seen: Seen[] = [];
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(call: () => Promise<HttpAnswer>) {
    this.#done = this.#run(call);
  }

  /** What was answered in a span of time. */
  between(fromMs: number, toMs: number): readonly Seen[] {
    return this.seen.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  async #run(call: () => Promise<HttpAnswer>): Promise<void> {
    while (!this.#isOver) {
      const startMs = performance.now();
      const answer = await call();
      const atMs = performance.now();
      this.seen.push({ atMs, ms: atMs - startMs, answer });
      await delay(10);
    }
  }
}

function quantile(seen: readonly Seen[], share: number): number {
  const sorted = seen.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0;
}

describe.skipIf(missing !== undefined)('kill -9 of all Python workers under load', { timeout: 120_000 }, () => {
  let lm: ScriptedLm;
  let stack: Stack;
  beforeAll(async () => {
    lm = await startScriptedLm({ behaviour: { kind: 'answer', delayMs: LM_MS }, record: false });
    stack = await startStack({ engines: 'python', lm: lm.url });
  }, 90_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });

  const caller = (slug: unknown, executionOptions: JsonObject = {}): Caller =>
    new Caller(() => stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS, executionOptions }));

  it('native programs do not notice, hybrid ones degrade and say so, those on Python get 503 and recover', async () => {
    const native = await readyProgram(stack, { adapterType: 'native' });
    const hybrid = await readyProgram(stack, { adapterType: 'python_port' });
    const callers = {
      native: [caller(native.slug), caller(native.slug)],
      hybrid: [caller(hybrid.slug), caller(hybrid.slug)],
      python: Array.from({ length: 4 }, () => caller(hybrid.slug, { engine: 'python' })),
    };
    const all = (kind: keyof typeof callers, from: number, to: number): Seen[] =>
      callers[kind].flatMap((one) => one.between(from, to));
    await eventually(() => {
      for (const one of Object.values(callers).flat()) expect(one.seen.length).toBeGreaterThan(50);
    }, 30_000);
    const beganMs = performance.now();
    // Those under way when the workers go wait for them to come back; these come when there are none.
    let late: Promise<HttpAnswer[]> | undefined;
    let isRefused = false;
    const awayMs = (): number => performance.now() - beganMs;
    while (awayMs() < AWAY_MS || (!isRefused && awayMs() < 3 * AWAY_MS)) {
      if (late === undefined && awayMs() > 1_000) {
        const ask = () =>
          stack.http.post(`/v1/programs/${hybrid.slug}:execute`, {
            inputs: QA_INPUTS,
            executionOptions: { engine: 'python' },
          });
        late = Promise.all(Array.from({ length: 4 }, ask));
        void late.then(() => {
          isRefused = true;
        });
      }
      for (const pid of workersOf(stack.pid('sidecar'))) process.kill(pid, 'SIGKILL');
      await delay(50);
    }
    const endedMs = performance.now();
    await eventually(() => {
      const after = callers.python.map((one) => one.between(endedMs, Number.POSITIVE_INFINITY).slice(-10));
      expect(after.every((seen) => seen.length === 10 && seen.every(({ answer }) => answer.status === 200))).toBe(true);
    }, 60_000);
    await eventually(() => {
      const late = callers.hybrid.flatMap((one) => one.seen.slice(-5));
      expect(late.every(({ answer }) => answer.body.engine === 'ENGINE_PYTHON')).toBe(true);
    }, 40_000);
    for (const one of Object.values(callers).flat()) await one.stop();

    const before = all('native', 0, beganMs);
    const during = all('native', beganMs, endedMs);
    const figure = (seen: Seen[]) =>
      [0.5, 0.95, 0.99].map((share) => `${quantile(seen, share).toFixed(0)} ms`).join(' / ');
    console.info(
      `native p50 / p95 / p99: ${figure(before)} before, ${figure(during)} without workers (${during.length} calls)`,
    );
    expect(all('native', 0, Infinity).filter(({ answer }) => answer.status !== 200)).toEqual([]);
    expect(during.length).toBeGreaterThan(100);
    expect(quantile(during, 0.5)).toBeLessThan(quantile(before, 0.5) * 2 + LM_MS);

    expect(all('hybrid', 0, Infinity).filter(({ answer }) => answer.status !== 200)).toEqual([]);
    const moved = all('hybrid', beganMs + 1_000, endedMs);
    expect(moved.length).toBeGreaterThan(100);
    expect(new Set(moved.map(({ answer }) => `${answer.body.engine} ${answer.body.degraded}`))).toEqual(
      new Set(['ENGINE_NATIVE true']),
    );
    const { metrics } = demand(await stack.http.get(`/v1/executions/${moved.at(-1)?.answer.body.executionId}`), 200);
    expect(metrics).toMatchObject({ routing: { strategy: 'python_first', degraded: true } });

    const underWay = all('python', 0, Infinity).filter(({ answer }) => answer.status !== 200);
    const refused = [...underWay.map(({ answer }) => answer), ...((await late) ?? [])];
    expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]));
    expect(refused.filter(({ headers }) => !(Number(headers['retry-after']) > 0))).toEqual([]);
    expect(refused.some(({ body }) => body.detail === 'Service temporarily unavailable')).toBe(true);
  });
});
