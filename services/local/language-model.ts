import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import type { NamedModel } from './config.ts';
import { freePort } from './free-port.ts';
import { fetchRuntime, fetchWeights } from './language-model/fetch.ts';
import { LaunchError } from './launch-error.ts';
import type { LogFile } from './log-file.ts';
import { startScriptedModel } from './scripted-model.ts';
import { SupervisedProcess } from './supervise.ts';

const SERVE = join(import.meta.dirname, 'language-model', 'serve.py');

/** The stack's default language model. */
export type LanguageModel = {
  kind: 'named' | 'embedded' | 'scripted';
  /** One line for people: which model answers, and why that one. */
  description: string;
  /** `SIGNET_LM_MODEL`, `SIGNET_LM_API_BASE`, `SIGNET_LM_API_KEY` and `SIGNET_LM_CONSTRAINED` (`grammar`, `json_schema` or `none`) for the executor. */
  env: Record<string, string>;
  stop(): Promise<void>;
};

/** What choosing a model needs. */
export type LanguageModelInput = {
  model?: NamedModel;
  ggufPath?: string;
  python: string;
  modelsDir: string;
  inherited: NodeJS.ProcessEnv;
  logFile: LogFile;
  log: (line: string) => void;
};

/**
 * Gives the named model, else a local one out of the GGUF file that was named, else the embedded one, else, where none of it can run, a
 * scripted one that says that it is one. Throws a LaunchError only for a GGUF file that is not there.
 */
export async function startLanguageModel(input: LanguageModelInput): Promise<LanguageModel> {
  if (input.model) return useNamed(input.model);
  if (input.ggufPath !== undefined && !existsSync(input.ggufPath)) {
    throw new LaunchError(`SIGNET_LM_GGUF: there is no file ${input.ggufPath}`);
  }
  try {
    return await startEmbedded(input);
  } catch (error) {
    const reason =
      error instanceof Error ? (error.message.split('\n').findLast((line) => line.trim() !== '') ?? '') : String(error);
    return await useScripted(reason);
  }
}

function useNamed({ model, apiBase, apiKey, constrained }: NamedModel): LanguageModel {
  const env: Record<string, string> = { SIGNET_LM_MODEL: model };
  if (apiBase !== undefined) env.SIGNET_LM_API_BASE = apiBase;
  if (apiKey !== undefined) env.SIGNET_LM_API_KEY = apiKey;
  if (constrained !== undefined) env.SIGNET_LM_CONSTRAINED = constrained;
  return { kind: 'named', description: `${model} (SIGNET_LM_MODEL)`, env, stop: async () => undefined };
}

async function startEmbedded(input: LanguageModelInput): Promise<LanguageModel> {
  requireAvx2();
  const runtime = await fetchRuntime(input);
  const gguf = input.ggufPath ?? (await fetchWeights(input));
  const name = input.ggufPath === undefined ? 'smollm2-135m-instruct' : basename(gguf, '.gguf');
  const port = await freePort();
  const apiKey = randomBytes(24).toString('hex');
  const threads = Math.min(availableParallelism(), 4);
  const options = { runtime, model: gguf, name, port, threads };
  const server = new SupervisedProcess(
    {
      name: 'language model',
      command: input.python,
      args: ['-I', SERVE, ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)])],
      cwd: input.modelsDir,
      env: { ...input.inherited, SIGNET_LM_API_KEY: apiKey },
      log: input.logFile,
      readyMs: 120_000,
      graceMs: 2_000,
    },
    () => undefined,
  );
  await server.start();
  return {
    kind: 'embedded',
    description:
      input.ggufPath === undefined
        ? 'SmolLM2-135M-Instruct, on this machine'
        : `${name}, on this machine (SIGNET_LM_GGUF)`,
    env: {
      SIGNET_LM_MODEL: `openai/${name}`,
      SIGNET_LM_API_BASE: `http://127.0.0.1:${port}/v1`,
      SIGNET_LM_API_KEY: apiKey,
      SIGNET_LM_CONSTRAINED: 'grammar',
    },
    stop: () => server.stop(),
  };
}

// Without it the server dies by SIGILL: known before a hundred megabytes are fetched.
function requireAvx2(): void {
  if (process.arch !== 'x64' || !existsSync('/proc/cpuinfo')) return;
  if (!/^flags\s*:.*\bavx2\b/m.test(readFileSync('/proc/cpuinfo', 'utf8')))
    throw new Error('the processor has no AVX2');
}

async function useScripted(reason: string): Promise<LanguageModel> {
  const server = await startScriptedModel();
  return {
    kind: 'scripted',
    description: `a scripted model, which only fills the form (the embedded one cannot run: ${reason})`,
    env: {
      SIGNET_LM_MODEL: 'openai/scripted',
      SIGNET_LM_API_BASE: `http://${server.address}/v1`,
      SIGNET_LM_API_KEY: 'scripted',
      SIGNET_LM_CONSTRAINED: 'none',
    },
    stop: () => server.close(),
  };
}
