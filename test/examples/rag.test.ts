import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand } from '../support/programs.ts';
import { findSidecarPython, whyNoPython } from '../support/python.ts';
import { textOf } from '../support/scripted-answer.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { ROOT } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the retrieval example is left out: ${missing}`);

const FOLDER = join(ROOT, 'examples', 'rag');
const FALLBACK = "I apologize, but I'm unable to process this request at the moment.";

describe.skipIf(missing !== undefined)('the retrieval example', { timeout: 120_000 }, () => {
  let lm: ScriptedLm;
  let stack: Stack;
  let search: Started;

  beforeAll(async () => {
    search = await startSearch();
    lm = await startScriptedLm();
    stack = await startStack({
      engines: 'python',
      lm: lm.url,
      envOf: {
        sidecar: {
          SIGNET_PYTHON_PATH: FOLDER,
          SIGNET_PYTHON_MODULES:
            'VectorRetriever=retrieval:VectorRetriever@shared,KeywordRetriever=retrieval:KeywordRetriever@shared',
          SIGNET_COLBERT_URL: search.url,
        },
      },
    });
    // The allow-list reaches the registry by the executor, which asks the sidecar for it.
    const probe = {
      type: 'retrieve',
      pythonModule: 'python:VectorRetriever',
      signatureSpec: 'query -> passages: list',
    };
    await eventually(
      async () => demand(await stack.http.post('/v1/modules', { name: 'probe', ...probe }), 201),
      60_000,
      500,
    );
  }, 120_000);
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    search?.stop();
  }, 60_000);

  const example = (question: string): Promise<string[]> =>
    run(join(FOLDER, 'rag.ts'), [question], {
      SIGNET_URL: `http://${stack.httpAddress}`,
      SIGNET_KEY: stack.adminKey,
    });

  it('PIP-01 PIP-02 PIP-03 PIP-04 PIP-05 PIP-06 searches in three ways at once, merges, and answers from what was found', async () => {
    const lines = await example('What colour is the buoy that marks the wreck?');
    expect(lines.slice(0, 3)).toEqual([
      expect.stringMatching(/^composed rag-example/),
      'initialized READY',
      expect.stringMatching(/^answered: .+[^)]$/),
    ]);
    const steps = lines.slice(3).filter((line) => !line.startsWith('    '));
    const named = [
      'parse_input',
      'vector_search',
      'keyword_search',
      'colbert_search',
      'merge_results',
      'generate_response',
    ];
    expect(steps.toSorted()).toEqual(named.map((name) => `  ${name}: COMPLETED`).toSorted());
    expect(lines.find((line) => line.startsWith('    best:'))).toMatch(/^ {4}best: buoy-colours,/);
    const asked = textOf(lm.requests.at(-1)!.body.messages!.at(-1)!.content);
    expect(asked).toContain('marked by a blue and yellow buoy');
  });

  it('PIP-03 PIP-07 answers without one way of searching, and apologizes where it cannot answer', async () => {
    const program = demand(await stack.http.get('/v1/programs?filter=name%3D%22rag%20example%22'), 200);
    const { slug } = (program.programs as JsonObject[])[0]!;
    search.stop();
    lm.enqueue(...Array.from({ length: 10 }, () => ({ kind: 'status', status: 400, message: 'no' }) as const));
    const result = demand(
      await stack.http.post(`/v1/programs/${slug}:run`, { inputs: { query: 'When does the ferry leave?' } }),
      200,
    );
    expect(result).toMatchObject({ outputs: { response: FALLBACK }, degraded: true });
    const tree = demand(await stack.http.get(`/v1/executions/${result.executionId}:tree`), 200);
    const statuses = new Map(
      (tree.children as { execution: JsonObject }[]).map(({ execution }) => [execution.step, execution.status]),
    );
    expect(statuses.get('colbert_search')).toBe('EXECUTION_STATUS_FAILED');
    expect(statuses.get('keyword_search')).toBe('EXECUTION_STATUS_COMPLETED');
    expect(statuses.get('generate_response')).toBe('EXECUTION_STATUS_FAILED');
    expect((tree.execution as JsonObject).metrics).toMatchObject({ degraded: true });
  });
});

type Started = { readonly url: string; stop(): void };

function startSearch(): Promise<Started> {
  const child = spawn(findSidecarPython() ?? 'python3', [join(FOLDER, 'search_server.py')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    createInterface({ input: child.stdout }).once('line', (url) => resolve({ url, stop: () => void child.kill() }));
  });
}

function run(script: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<string[]> {
  const child = spawn(process.execPath, [script, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  let errors = '';
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    errors += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve(lines) : reject(new Error(`${code}: ${errors}`))));
  });
}
