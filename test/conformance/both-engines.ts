import { ROOT_CONTEXT } from '@opentelemetry/api';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { EngineDeclined, type EngineProgram } from '../../services/executor/engine/engine.ts';
import { lmEndpoint } from '../../services/executor/engine/lm-endpoint.ts';
import { createNativeEngine } from '../../services/executor/native/native-engine.ts';
import { nameProgram } from '../../services/executor/sidecar/program-definition.ts';
import { canonicalText } from './encode.ts';
import { settled } from './parse-case.ts';
import type { Script } from './session-runs.ts';
import type { Sidecar } from './sidecar-client.ts';

const RUN_MS = 30_000;

/** What a model and tools say, in order; the last reply is said again and again. */
export type Lines = { readonly replies: readonly string[]; readonly observations: readonly unknown[] };

/** All that a run showed: each call of the model and of tools, and how it ended. */
export type Shown = { readonly calls: readonly unknown[]; readonly end: string };

/** Runs on a live worker. */
export async function runInPython(
  sidecar: Sidecar,
  program: EngineProgram,
  inputs: JsonObject,
  lines: Lines,
): Promise<Shown> {
  const { script, calls } = scriptOf(lines);
  return { calls, end: await endOf(() => sidecar.run(program, inputs, script)) };
}

/** Runs on the native engine from the worker's plan; `declined` where it leaves the run to Python before any model is asked. */
export async function runNatively(
  sidecar: Sidecar,
  program: EngineProgram,
  inputs: JsonObject,
  lines: Lines,
): Promise<Shown | 'declined'> {
  const { program: definition } = nameProgram(program, undefined);
  const { planJson, planFault } = await sidecar.compile(definition);
  const planned = { ...program, planJson: planJson.toString('utf8'), nativeFault: planFault };
  const { script, calls } = scriptOf(lines);
  const engine = createNativeEngine({
    lm: {
      async complete(request) {
        return { ...script.complete(request), promptTokens: 0, completionTokens: 0, finishReason: 'stop' };
      },
    },
    tools: {
      async call(_tool, name, argsJson) {
        return script.callTool?.(name, argsJson) ?? '';
      },
      close: async () => {},
    },
    tracer: new TracerProvider({}).getTracer('conformance'),
    compiler: { prepare: () => Promise.reject(new Error('it is prepared')) },
    reader: {
      async read(_program, { predictor, adapter, completion }) {
        return settled(await sidecar.parse(definition, predictor, adapter, completion));
      },
    },
  });
  try {
    const end = await endOf(async () => {
      const ran = await engine.run(planned, inputs, '', {
        ...{ executionId: 'native', maxRetries: 0, wantsText: false, trace: ROOT_CONTEXT },
        ...{ signal: new AbortController().signal, deadlineMs: Date.now() + RUN_MS },
        lm: lmEndpoint({ model: 'openai/scripted', apiBase: 'http://127.0.0.1:9', apiKey: '', constrained: 'none' }),
      });
      return ran.outputsJson;
    });
    return { calls, end };
  } catch (error) {
    if (error instanceof EngineDeclined) return 'declined';
    throw error;
  }
}

function scriptOf({ replies, observations }: Lines): { readonly script: Script; readonly calls: unknown[] } {
  const calls: unknown[] = [];
  let asked = 0;
  let observed = 0;
  const script: Script = {
    capabilities: { jsonSchema: false, jsonObject: false },
    complete({ messages, options }) {
      calls.push({ messages: messages.map(({ role, content }) => ({ role, content })), options: { ...options } });
      const text = replies[Math.min(asked, replies.length - 1)] ?? '';
      asked += 1;
      return { text, streamed: false };
    },
    callTool(name, argsJson) {
      calls.push({ tool: name, args: argsOf(argsJson) });
      const observation = observations[observed % Math.max(1, observations.length)] ?? 'nothing';
      observed += 1;
      return JSON.stringify(observation);
    },
  };
  return { script, calls };
}

// What is no JSON object is refused by the caller of tools, whichever way it is none.
function argsOf(argsJson: string): string {
  try {
    return canonicalText(parseJson(argsJson));
  } catch {
    return 'no JSON';
  }
}

async function endOf(run: () => Promise<string>): Promise<string> {
  try {
    return canonicalText(parseJson(await run()));
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return `${error.reason} ${error.pythonType}`;
  }
}
