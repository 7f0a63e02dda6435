import { AppError } from '@signet/kit/error/app-error.ts';
import { pythonRepr } from '@signet/predict/python/repr.ts';
import { isObject, type JsonObject, type JsonValue, jsonFromPlain } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { FlowCase, ScriptedReply } from './flow-record.ts';
import { type Played, shownCall } from './played.ts';
import { programOf } from './program.ts';
import type { Runner } from './runner.ts';

/** Plays a flow on a live worker, which asks for each completion over its session. */
export async function playInPython({ sidecar }: Runner, given: FlowCase): Promise<Played> {
  const { signature, adapter, lm, options, fallback } = given;
  const replies = [...given.replies];
  const calls: JsonValue[] = [];
  let raised: { readonly error: AppError; readonly name: string } | undefined;
  try {
    const outputsJson = await sidecar.run(
      programOf(signature, { promptAdapter: adapter, lmOptions: options }),
      given.inputs,
      {
        capabilities: lm,
        complete(request) {
          const { messages } = request;
          calls.push(shownCall({ messages, options: optionsOf(request.options) }));
          const reply = replies.shift();
          if (reply === undefined) throw new Error('a call more than the script has replies');
          if ('raises' in reply) {
            raised = { error: errorOf(reply), name: reply.raises };
            throw raised.error;
          }
          // In serving it is text already shown that turns the fallback off.
          return { text: reply.text, streamed: !fallback };
        },
      },
    );
    const outputs = parseJson(outputsJson);
    if (!isObject(outputs)) throw new Error('the outputs are no object');
    const shown = [...outputs].map(([name, value]): [string, JsonValue] => [name, pythonRepr(value)]);
    return { calls, byWire: true, outcome: new Map([['result', new Map(shown)]]) };
  } catch (error) {
    if (error === raised?.error) return { calls, byWire: true, outcome: new Map([['error', raised?.name ?? '']]) };
    if (error instanceof AppError && error.pythonType) {
      return { calls, byWire: true, outcome: new Map([['error', error.pythonType]]) };
    }
    throw error;
  }
}

function optionsOf(options: Readonly<Record<string, unknown>>): JsonObject {
  return new Map(Object.entries(options).map(([name, value]) => [name, jsonFromPlain(value)]));
}

function errorOf({ raises }: Extract<ScriptedReply, { raises: string }>): AppError {
  return new AppError(raises === 'LMRateLimitError' ? 'LM_RATE_LIMITED' : 'LM_ERROR', raises);
}
