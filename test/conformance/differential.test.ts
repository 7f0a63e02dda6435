import type { ParseOutcome } from '@signet/predict/parse/outcome.ts';
import { parseReply } from '@signet/predict/parse/parse-reply.ts';
import type { PromptAdapter } from '@signet/predict/plan/plan.ts';
import { renderMessages } from '@signet/predict/render/render-messages.ts';
import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import type { SignatureSpec } from '@signet/signature/types.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoPython } from '../support/python.ts';
import { anySignature, anyValue, fieldText, oddText, plainText } from './arbitraries.ts';
import { canonicalText, encode } from './encode.ts';
import { settled } from './parse-case.ts';
import { CompileError, defineProgram, makePlan, onlyPredictor } from './program.ts';
import { type Sidecar, startSidecar } from './sidecar-client.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the differential test is left out: ${missing}`);
const RUNS = Number(process.env.SIGNET_DIFFERENTIAL_RUNS ?? 40);
const MS_PER_RUN = 500;
const REPLIES = 5;
const settings: fc.Parameters<unknown> = {
  numRuns: RUNS,
  ...(process.env.SIGNET_DIFFERENTIAL_SEED && { seed: Number(process.env.SIGNET_DIFFERENTIAL_SEED) }),
};

const adapters: readonly PromptAdapter[] = ['chat', 'json'];
const inputs = fc
  .record({ question: anyValue, context: anyValue }, { requiredKeys: [] })
  .map((made) => new Map(Object.entries(made)));
const demo = fc
  .record({ question: anyValue, context: anyValue, a: anyValue, b: anyValue }, { requiredKeys: [] })
  .map((made): JsonObject => new Map(Object.entries(made)));

const chatReply = fc.tuple(oddText, fieldText, fieldText, fc.boolean()).map(([before, a, b, swapped]) => {
  const sections = [`[[ ## a ## ]]\n${a}`, `[[ ## b ## ]]\n${b}`];
  return `${before}\n${(swapped ? sections.reverse() : sections).join('\n\n')}\n\n[[ ## completed ## ]]\n`;
});
const jsonReply = fc.oneof(
  fc.tuple(anyValue, anyValue).map(([a, b]) =>
    plainText(
      new Map([
        ['a', a],
        ['b', b],
      ]),
    ),
  ),
  fc.tuple(fieldText, fieldText).map(([a, b]) => `{"b": ${JSON.stringify(b)}, "a": ${JSON.stringify(a)}}`),
  fc.tuple(oddText, anyValue, oddText).map(
    ([before, a, after]) =>
      `${before}${plainText(
        new Map([
          ['a', a],
          ['b', a],
        ]),
      )}${after}`,
  ),
  fieldText,
);

describe.skipIf(missing !== undefined)('fresh cases on both engines', () => {
  let sidecar: Sidecar;
  beforeAll(async () => {
    sidecar = await startSidecar();
  });
  afterAll(async () => await sidecar.close());

  const program = (spec: SignatureSpec, demos: readonly JsonObject[], adapter: PromptAdapter) =>
    defineProgram({ spec, instructions: '', module: 'predict' }, demos, adapter);

  it(
    'show the same prompts',
    async () => {
      const property = fc.asyncProperty(
        anySignature,
        fc.array(demo, { maxLength: 2 }),
        inputs,
        async (spec, demos, given) => {
          for (const adapter of adapters) {
            expect(await shownNatively(spec, demos, adapter, given)).toEqual(
              await shownInPython(spec, demos, adapter, given),
            );
          }
        },
      );
      await fc.assert(property, settings);
    },
    30_000 + RUNS * MS_PER_RUN,
  );

  it(
    'read the same out of the same replies, where the native engine answers at all',
    async () => {
      const replies = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: REPLIES, maxLength: REPLIES });
      const property = fc.asyncProperty(
        anySignature,
        replies(chatReply),
        replies(jsonReply),
        async (spec, chats, jsons) => {
          const made = program(spec, [], 'chat');
          const predictor = onlyPredictor(await makePlan(sidecar, made));
          for (const [adapter, texts] of [
            ['chat', chats],
            ['json', jsons],
          ] as const) {
            for (const text of texts) {
              const native = parseReply(predictor, adapter, text);
              if (native.kind === 'doubtful') continue;
              expect([text, told(native)]).toEqual([
                text,
                told(settled(await sidecar.parse(made, 'predict', adapter, text))),
              ]);
            }
          }
        },
      );
      await fc.assert(property, settings);
    },
    30_000 + RUNS * MS_PER_RUN,
  );

  async function shownNatively(
    spec: SignatureSpec,
    demos: readonly JsonObject[],
    adapter: PromptAdapter,
    given: JsonObject,
  ) {
    try {
      const shown = renderMessages(
        onlyPredictor(await makePlan(sidecar, program(spec, demos, adapter))),
        adapter,
        given,
      );
      if (shown.kind === 'doubtful') return await shownInPython(spec, demos, adapter, given);
      return shown.kind === 'messages' ? shown.messages : shown.pythonType;
    } catch (error) {
      if (error instanceof CompileError) return error.pythonType;
      throw error;
    }
  }

  async function shownInPython(
    spec: SignatureSpec,
    demos: readonly JsonObject[],
    adapter: PromptAdapter,
    given: JsonObject,
  ) {
    const made = program(spec, demos, adapter);
    const { error } = await sidecar.compile(made);
    if (error !== undefined) return error.pythonType;
    const shown = await sidecar.render(made, 'predict', adapter, plainText(given));
    return shown.error?.pythonType ?? (JSON.parse(shown.messagesJson.toString('utf8')) as unknown);
  }
});

function told(outcome: ParseOutcome): string {
  if (outcome.kind === 'value') return canonicalText(encode(outcome.outputs));
  if (outcome.kind === 'doubtful') return 'doubtful';
  const { pythonType, reason } = outcome;
  return JSON.stringify([pythonType, reason] satisfies JsonValue | readonly unknown[]);
}
