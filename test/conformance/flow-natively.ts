import { createRun } from '@signet/predict/modules/run.ts';
import type { Step } from '@signet/predict/modules/step.ts';
import { pythonRepr } from '@signet/predict/python/repr.ts';
import type { JsonValue } from '@signet/signature/json.ts';
import type { FlowCase } from './flow-record.ts';
import { settled } from './parse-case.ts';
import { type Played, shownCall } from './played.ts';
import { defineProgram, makePlan } from './program.ts';
import type { Runner } from './runner.ts';

/** A flow as the native engine played it. */
export type NativelyPlayed = Played & {
  /** Why Python read one of the replies. */
  readonly handedOver?: string | undefined;
  /** Why the native engine leaves all of it to Python. */
  readonly declined?: string;
};

/** Plays a flow from the prompt plan. */
export async function playNatively({ sidecar }: Runner, given: FlowCase): Promise<NativelyPlayed> {
  const { signature, adapter, lm, options, fallback } = given;
  const program = defineProgram(signature, [], adapter);
  const run = createRun(await makePlan(sidecar, program), { adapter, lm, options, fallback });
  const replies = [...given.replies];
  const calls: JsonValue[] = [];
  let handedOver: string | undefined;
  let step: Step = run.start(given.inputs);
  for (;;) {
    switch (step.kind) {
      case 'lm': {
        calls.push(shownCall(step));
        const reply = replies.shift();
        if (reply === undefined) throw new Error('a call more than the script has replies');
        if ('raises' in reply) return { calls, handedOver, outcome: new Map([['error', reply.raises]]) };
        step = run.reply(reply.text);
        break;
      }
      case 'parse':
        handedOver = step.why;
        step = run.parsed(settled(await sidecar.parse(program, step.predictor, step.adapter, step.completion)));
        break;
      case 'done': {
        const outputs = [...step.outputs].map(([name, value]): [string, JsonValue] => [name, pythonRepr(value)]);
        return { calls, handedOver, outcome: new Map([['result', new Map(outputs)]]) };
      }
      case 'failed':
        return { calls, handedOver, outcome: new Map([['error', step.pythonType]]) };
      case 'doubtful':
        return { calls, outcome: null, declined: step.why };
      case 'tool':
        throw new Error('a flow of the corpus calls no tool');
    }
  }
}
