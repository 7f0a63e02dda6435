import { ROOT_CONTEXT } from '@opentelemetry/api';
import { JsonNumber } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { checkValues } from '@signet/signature/value.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { engineSuite, programOf } from './engine.suite.ts';
import type { RunContext } from './engine.ts';
import { createMockEngine } from './mock.ts';

const slow = new Map([['mock', new Map([['latency_ms', new JsonNumber('5000')]])]]);

engineSuite('mock', async () => {
  const engine = createMockEngine();
  return {
    engine,
    slow: (program) => ({ ...program, ref: `${program.ref}-slow`, metadata: slow }),
    close: () => engine.close(),
  };
});

const context = (): RunContext => ({
  executionId: '01900000-0000-7000-8000-000000000002',
  wantsText: false,
  signal: new AbortController().signal,
  deadlineMs: Date.now() + 5000,
  trace: ROOT_CONTEXT,
  lm: undefined,
  maxRetries: 0,
});

describe('mock values', () => {
  const types = [
    'a: str',
    'a: str(min_length=40)',
    'a: str(max_length=5)',
    'a: int(ge=3, le=3)',
    'a: int(gt=10, multiple_of=7)',
    'a: int(lt=-5)',
    'a: float(gt=0, lt=1)',
    'a: float(ge=2, multiple_of=0.5)',
    'a: float(le=-3)',
    'a: probability',
    'a: bool',
    'a: Any',
    'a: list[int]',
    'a: list[str](min_length=4)',
    'a: set[bool]',
    'a: set[int]',
    'a: tuple[int, str, float]',
    'a: tuple[int, ...]',
    'a: dict',
    'a: dict[str, list[float]]',
    'a: dict[int, str]',
    'a: Optional[int]',
    'a: int | str',
    'a: Literal["x", 2, True, None]',
    'a: embedding[8]',
    'a: embedding',
    'a: tensor',
    'a: list[dict[str, Optional[Literal["u", "v"]]]]',
  ];

  it.each(types)('ADP-03 always fit: %s', async (type) => {
    const program = programOf(`q: str -> ${type}`);
    const engine = createMockEngine();
    await fc.assert(
      fc.asyncProperty(fc.string(), async (question) => {
        const { outputsJson } = await engine.run(program, new Map(), JSON.stringify({ q: question }), context());
        expect(checkValues(program.signature.outputs, parseJson(outputsJson), { root: 'outputs' })).toMatchObject({
          ok: true,
        });
      }),
      { numRuns: 40 },
    );
  });

  it('ADP-03 are the same for the same inputs and others for others', async () => {
    const engine = createMockEngine();
    const run = async (text: string) =>
      (await engine.run(programOf('q: str -> a: str'), new Map(), text, context())).outputsJson;
    expect(await run('{"q":"1"}')).toBe(await run('{"q":"1"}'));
    expect(await run('{"q":"1"}')).not.toBe(await run('{"q":"2"}'));
  });

  it('ADP-03 fails as it is told, and behaves again after a reset', async () => {
    const engine = createMockEngine();
    const run = () => engine.run(programOf('q: str -> a: str'), new Map(), '{"q":"1"}', context());
    engine.behave({ error: 'LM_RATE_LIMITED' });
    await expect(run()).rejects.toMatchObject({ reason: 'LM_RATE_LIMITED' });
    engine.behave({ error: 'no reason at all' });
    await expect(run()).rejects.not.toHaveProperty('reason');
    expect(engine.runs).toBe(2);
    engine.reset();
    await expect(run()).resolves.toHaveProperty('outputsJson');
    expect(engine.runs).toBe(1);
  });
});
