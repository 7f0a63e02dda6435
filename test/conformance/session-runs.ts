import { ROOT_CONTEXT } from '@opentelemetry/api';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import { parseAddresses } from '@signet/kit/config/env.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { EngineProgram, LmEndpoint } from '../../services/executor/engine/engine.ts';
import { lmEndpoint } from '../../services/executor/engine/lm-endpoint.ts';
import type { LanguageModel, LmRequest } from '../../services/executor/lm/language-model.ts';
import { nameProgram } from '../../services/executor/sidecar/program-definition.ts';
import { SidecarPool } from '../../services/executor/sidecar/sidecar-pool.ts';
import { type Tool, toolsOf } from '../../services/executor/tool/tool.ts';

const RUN_MS = 30_000;

/** What stands in for the model and the tools of one run. What `complete` throws is the failure of that call. */
export type Script = {
  readonly capabilities: { readonly jsonSchema: boolean; readonly jsonObject: boolean };
  complete(request: LmRequest): { readonly text: string; readonly streamed: boolean };
  /** The observation as JSON text. */
  callTool?(name: string, argsJson: string): string;
};

/** Runs on live workers, over sessions as an executor opens them. */
export type SessionRuns = {
  /** One run; gives the outputs as JSON text, fails with the AppError that an executor would see. */
  run(program: EngineProgram, inputs: JsonObject, script: Script): Promise<string>;
  close(): void;
};

/** Makes the door; sessions are opened with the first run. */
export function createSessionRuns(sidecar: { readonly address: string; readonly token: string }): SessionRuns {
  const scripts = new Map<string, Script>();
  let pool: SidecarPool | undefined;
  let count = 0;
  return {
    async run(program, inputs, script) {
      pool ??= openPool(sidecar, scripts);
      count += 1;
      const slug = `script-${count}`;
      scripts.set(slug, script);
      try {
        const lm = endpointOf(slug, script);
        const { outputsJson } = await pool.run(
          {
            ...{ named: nameProgram(program, lm), inputsJson: writeJson(inputs), lm, lmOptionsJson: '' },
            ...{ maxRetries: 0, executionId: slug, tools: toolsFor(program, slug), alone: false },
          },
          { signal: new AbortController().signal, deadlineMs: Date.now() + RUN_MS, trace: ROOT_CONTEXT },
        );
        return outputsJson;
      } finally {
        scripts.delete(slug);
      }
    },
    close: () => pool?.close(),
  };
}

function openPool(
  sidecar: { readonly address: string; readonly token: string },
  scripts: ReadonlyMap<string, Script>,
): SidecarPool {
  const scriptOf = (slug: string): Script => {
    const script = scripts.get(slug);
    if (script === undefined) throw new Error('no script for this run');
    return script;
  };
  const lm: LanguageModel = {
    async complete(request) {
      const said = scriptOf(request.endpoint.slug).complete(request);
      return { ...said, promptTokens: 0, completionTokens: 0, finishReason: 'stop' };
    },
  };
  const tools = {
    async call(tool: Tool | undefined, name: string, argsJson: string): Promise<string> {
      const answer = tool && scriptOf(tool.url).callTool?.(name, argsJson);
      return answer ?? JSON.stringify(`Execution error in ${name}: there is no such tool`);
    },
    close: async () => {},
  };
  const addresses = parseAddresses(sidecar.address);
  if (addresses === undefined) throw new Error('the sidecar has no address');
  const tracer = new TracerProvider({}).getTracer('conformance');
  return new SidecarPool(
    { lm, tools, tracer, log: createLogger('conformance', 'silent'), internalToken: sidecar.token },
    { addresses },
  );
}

function endpointOf(slug: string, { capabilities }: Script): LmEndpoint {
  return lmEndpoint({
    ...{ slug, model: 'openai/scripted', apiBase: 'http://127.0.0.1:9', apiKey: '', constrained: 'none' },
    capabilities: { ...capabilities, grammar: false, streaming: true, tools: false },
  });
}

// Where a tool stands tells whose script answers it.
function toolsFor(program: EngineProgram, slug: string): ReadonlyMap<string, Tool> {
  return new Map([...toolsOf(program.moduleConfig)].map(([name, tool]) => [name, { ...tool, url: slug }]));
}
