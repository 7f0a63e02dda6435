import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { findSidecarPython, whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { ROOT } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

const run = promisify(execFile);
const missing = whyNoPython();
if (missing !== undefined) console.warn(`programs that DSPy optimized are left out: ${missing}`);

describe.skipIf(missing !== undefined)('a program that BootstrapFewShot optimized in plain Python', () => {
  let lm: ScriptedLm;
  let stack: Stack;
  let folder = '';
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'signet-optimized-'));
    lm = await startScriptedLm();
    stack = await startStack({ engines: 'python', lm: lm.url });
  }, 90_000);
  beforeEach(() => lm.reset());
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const plainDspy = async (...given: string[]): Promise<string> => {
    const env = { PATH: process.env.PATH, DSPY_CACHEDIR: folder, LITELLM_LOCAL_MODEL_COST_MAP: 'True' };
    const script = join(ROOT, 'test', 'fixtures', 'python', 'saved_program.py');
    return (await run(findSidecarPython() ?? '', [script, ...given], { env })).stdout;
  };

  it.each(['predict', 'chain_of_thought'])(
    'is imported, promoted and served natively by the very prompt that plain DSPy sends (%s)',
    async (module) => {
      const path = join(folder, `${module}.json`);
      await plainDspy('save', module, path);
      const { slug } = await readyProgram(stack, { adapterType: 'python_port', configuration: { module } });
      const state = JSON.parse(readFileSync(path, 'utf8')) as JsonObject;
      const imported = demand(await stack.http.post(`/v1/programs/${slug}/versions:import`, { state }), 201);
      expect(imported).toMatchObject({ version: 2, source: 'import' });
      demand(await stack.http.post(`/v1/programs/${slug}/versions/2:promote`), 200);
      const { preparation } = demand(await stack.http.get(`/v1/programs/${slug}/versions/2`), 200);
      expect(preparation).toMatchObject({ nativeFault: '', promptPlan: { dialect: { dspy: '3.4.1' } } });

      const executionOptions = { engine: 'native' };
      const answer = await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS, executionOptions });
      const native = demand(answer, 200);
      expect(native).toMatchObject({ engine: 'ENGINE_NATIVE', version: 2 });
      const plain = JSON.parse(await plainDspy('ask', module, path, JSON.stringify(QA_INPUTS), lm.url));
      const [ours, theirs] = lm.requests.map(({ body }) => body);
      expect(lm.requests).toHaveLength(2);
      expect(JSON.stringify(ours?.messages)).toBe(JSON.stringify(theirs?.messages));
      expect(ours?.messages?.length).toBeGreaterThan(6);
      expect(ours).toMatchObject({ temperature: 0.25, max_tokens: 300 });
      // The bound has two names; plain DSPy takes the newer one.
      expect(theirs).toMatchObject({ temperature: 0.25, max_completion_tokens: 300 });
      expect(native.outputs).toEqual(plain);
    },
    90_000,
  );
});
