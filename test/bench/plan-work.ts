import { parseReply } from '@signet/predict/parse/parse-reply.ts';
import { renderMessages } from '@signet/predict/render/render-messages.ts';
import { isObject, JsonNumber, type JsonObject, type JsonValue, jsonFromPlain } from '@signet/signature/json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { defineProgram, makePlan, onlyPredictor } from '../conformance/program.ts';
import { startSidecar } from '../conformance/sidecar-client.ts';
import { INPUTS, SPEC } from './inputs.ts';

/** The name by which `--only` finds these figures. */
export const PLAN_WORK = 'plan rendering';

const DEMOS = 16;
const RENDER_AIM_US = 50;
const WARM = 20_000;
const ROUNDS = 7;
const CALLS = 20_000;
const REPLY = '[[ ## answer ## ]]\nAda Lovelace\n\n[[ ## confidence ## ]]\n0.9\n\n[[ ## completed ## ]]\n';

/** Measures what the native engine does with a plan, in this process: filling a prompt of 16 demos, and reading a reply. A line each. */
export async function measurePlanWork(): Promise<string[]> {
  const sidecar = await startSidecar();
  try {
    const signature = { spec: parseSpec(SPEC), instructions: '', module: 'predict' } as const;
    const plan = await makePlan(sidecar, defineProgram(signature, Array.from({ length: DEMOS }, demo), 'chat'));
    const predictor = onlyPredictor(plan);
    const inputs = jsonFromPlain(INPUTS);
    if (!isObject(inputs)) throw new Error('the inputs are no object');
    const rendered = renderMessages(predictor, 'chat', inputs);
    if (rendered.kind !== 'messages' || parseReply(predictor, 'chat', REPLY).kind !== 'value') {
      throw new Error('the plan does not serve its own inputs');
    }
    const characters = rendered.messages.reduce((sum, { content }) => sum + content.length, 0);
    const render = microseconds(() => renderMessages(predictor, 'chat', inputs));
    const body = microseconds(() => JSON.stringify(renderMessages(predictor, 'chat', inputs)));
    const parse = microseconds(() => parseReply(predictor, 'chat', REPLY));
    const verdict = render <= RENDER_AIM_US ? 'kept' : 'missed';
    return [
      `${PLAN_WORK}, ${DEMOS} demos, ${characters} characters: ${render.toFixed(2)} µs (aim ≤ ${RENDER_AIM_US}: ${verdict}); with the request's JSON ${body.toFixed(1)} µs`,
      `reading a reply of ${REPLY.length} characters, two fields: ${parse.toFixed(2)} µs`,
    ];
  } finally {
    await sidecar.close();
  }
}

function demo(_: unknown, index: number): JsonObject {
  return new Map<string, JsonValue>([
    ['question', `Who wrote program number ${index}?`],
    ['context', [`Programmer ${index} was asked to write it.`, 'It was written in a week and ran for years.']],
    ['answer', `Programmer ${index}`],
    ['confidence', new JsonNumber(`0.${index + 10}`)],
  ]);
}

// The median of some rounds: the machine has other things to do.
function microseconds(work: () => unknown): number {
  for (let call = 0; call < WARM; call++) work();
  const rounds = Array.from({ length: ROUNDS }, () => {
    const began = performance.now();
    for (let call = 0; call < CALLS; call++) work();
    return ((performance.now() - began) * 1_000) / CALLS;
  });
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0;
}
