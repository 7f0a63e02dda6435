import { ROOT_CONTEXT } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { isObject, type JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { checkValues } from '@signet/signature/value.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, EngineEvent, EngineProgram, LmEndpoint, RunContext } from './engine.ts';

/** An engine under test and what it needs to run. */
export type EngineUnderTest = {
  readonly engine: Engine;
  /** The model that engines with a model ask. */
  readonly lm?: LmEndpoint;
  /** Makes runs of this program last long enough to be stopped; undefined if the engine cannot be slowed down. */
  slow?(program: EngineProgram): EngineProgram;
  close(): Promise<void>;
};

const specs = [
  'question: str -> answer: str',
  'question: str, context: list[str] -> answer: str, confidence: float',
  'text: str -> label: Literal["good", "bad"], score: int, sure: bool, tags: list[str]',
];

/** A program to be run in tests. */
export function programOf(spec: string, more: Partial<EngineProgram> = {}): EngineProgram {
  return {
    programId: '01900000-0000-7000-8000-000000000001',
    slug: 'suite',
    version: 1,
    ref: `suite-${spec}-${more.module ?? 'predict'}-${more.promptAdapter ?? 'chat'}`,
    signature: parseSpec(spec),
    module: 'predict',
    promptAdapter: 'chat',
    instructions: '',
    demosJson: [],
    planJson: '',
    nativeFault: '',
    lmOptions: new Map(),
    ...more,
  };
}

/** What every engine promises; each implementation calls this. */
export function engineSuite(name: string, makeEngine: () => Promise<EngineUnderTest>): void {
  describe(`${name} engine`, () => {
    let test: EngineUnderTest;
    beforeAll(async () => {
      test = await makeEngine();
    }, 60_000);
    afterAll(() => test?.close());

    const run = (program: EngineProgram, inputsJson: string, more: Partial<RunContext> = {}) =>
      test.engine.run(program, objectOf(inputsJson), inputsJson, {
        executionId: '01900000-0000-7000-8000-000000000002',
        wantsText: more.onEvent !== undefined,
        signal: new AbortController().signal,
        deadlineMs: Date.now() + 20_000,
        trace: ROOT_CONTEXT,
        lm: test.lm,
        maxRetries: 0,
        ...more,
      });
    const prepare = (program: EngineProgram) =>
      test.engine.prepare(program, {
        signal: new AbortController().signal,
        deadlineMs: Date.now() + 20_000,
        trace: ROOT_CONTEXT,
      });

    it('ADP-01 prepares a program under a name that is never empty, the same each time', async () => {
      const program = programOf(specs[0]!);
      const first = await prepare(program);
      expect(first.dspyProgramId).not.toBe('');
      expect((await prepare(program)).dspyProgramId).toBe(first.dspyProgramId);
    });

    it.each(specs)('ADP-01 answers %s with outputs that fit', async (spec) => {
      const program = programOf(spec);
      await prepare(program);
      const inputs = spec.startsWith('text') ? '{"text":"fine"}' : '{"question":"why?","context":["because"]}';
      const given = spec === specs[0] ? '{"question":"why?"}' : inputs;
      const outputs = parseJson((await run(program, given)).outputsJson);
      expect(checkValues(program.signature.outputs, outputs, { root: 'outputs' })).toMatchObject({ ok: true });
    });

    it('shows text only to those who listen, and what it shows begins the answer', async () => {
      const events: EngineEvent[] = [];
      const { outputsJson } = await run(programOf(specs[0]!), '{"question":"who?"}', {
        onEvent: (event) => events.push(event),
      });
      const shown = events.filter((event) => event.kind === 'token' && event.field === 'answer');
      const text = shown.map((event) => (event.kind === 'token' ? event.text : '')).join('');
      expect(text).not.toBe('');
      expect(objectOf(outputsJson).get('answer')).toMatch(new RegExp(`^${text.replace(/[^\w\s]/g, '\\$&')}`));
    });

    it('tells its steps without text to those who want no text', async () => {
      const events: EngineEvent[] = [];
      const onEvent = (event: EngineEvent): void => void events.push(event);
      await run(programOf(specs[0]!), '{"question":"who?"}', { onEvent, wantsText: false });
      expect(events.map((event) => (event.kind === 'step' ? event.status : event.kind))).toEqual([
        'started',
        'completed',
      ]);
    });

    it('comes back within 2 s of an abort, with its reason', async (task) => {
      if (test.slow === undefined) return task.skip();
      const controller = new AbortController();
      const running = run(test.slow(programOf(specs[0]!)), '{"question":"slow"}', { signal: controller.signal });
      setTimeout(() => controller.abort(new AppError('CANCELLED', 'stop')), 50);
      const startMs = performance.now();
      await expect(running).rejects.toMatchObject({ reason: 'CANCELLED' });
      expect(performance.now() - startMs).toBeLessThan(2050);
    });

    it('refuses at once what was aborted before, and runs many at a time', async (task) => {
      if (test.slow === undefined) return task.skip();
      const reason = new AppError('CANCELLED', 'stop');
      const aborted = run(test.slow(programOf(specs[0]!)), '{"question":"late"}', {
        signal: AbortSignal.abort(reason),
      });
      await expect(aborted).rejects.toMatchObject({ reason: 'CANCELLED' });
      const many = Array.from({ length: 20 }, (_, n) => run(programOf(specs[0]!), `{"question":"q${n}"}`));
      expect(await Promise.all(many)).toHaveLength(20);
    });
  });
}

function objectOf(text: string): JsonObject {
  const value = parseJson(text);
  if (!isObject(value)) throw new Error('not an object');
  return value;
}
