import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import type { JsonObject } from './http.ts';
import { demand, readyProgram, uniqueName } from './programs.ts';
import { type Behaviour, type ScriptedLm, type SeenRequest, startScriptedLm } from './scripted-lm.ts';
import { type Stack, startStack } from './stack.ts';

const chat = (answer: string): string => `[[ ## answer ## ]]\n${answer}\n\n[[ ## completed ## ]]`;

/** Knows an answer only where a demo shows how answers look. */
export function knowsByDemos({ body }: SeenRequest): Behaviour {
  const messages = body.messages ?? [];
  const number = /q (\d+)/.exec(String(messages.at(-1)?.content))?.[1];
  const isShown = messages.some(({ role }) => role === 'assistant');
  return { kind: 'text', text: chat(isShown ? `N${number}` : 'who knows') };
}

const optimizers = `
def rewrite(student, trainset, metric, instructions="Say who."):
    for _, predictor in student.named_predictors():
        predictor.signature = predictor.signature.with_instructions(instructions)
        predictor.demos = [dict(trainset[0])]
    return student

def broken(student, trainset):
    raise ValueError("no way to improve")
`;

/** A stack with data to learn from, a language model that answers better with demos, and what tests of jobs do over and over. */
export type Optimizing = {
  readonly stack: Stack;
  readonly lm: ScriptedLm;
  /** The slug of a dataset: 12 examples to learn from, 6 to compare by, 5 held out. */
  readonly dataset: string;
  /** What the language model does; `knowsByDemos` at the beginning of each test. */
  behaviour: (request: SeenRequest) => Behaviour;
  /** Makes a program that answers questions, READY; gives its slug. */
  readyQa(fields?: JsonObject): Promise<string>;
  optimize(program: string, body: JsonObject): Promise<JsonObject>;
  /** The job once it has ended. */
  ended(id: unknown): Promise<JsonObject>;
  programOf(slug: string): Promise<JsonObject>;
};

/**
 * Gives a test file one; it stands from before the first test to after the last one. The names `rewrite` and `broken` are optimizers. `executor`
 * is more environment for it.
 */
export function useOptimizing(executor: Readonly<Record<string, string>> = {}): Optimizing {
  let folder: string;
  const used = {
    behaviour: knowsByDemos,
    async readyQa(fields: JsonObject = {}) {
      const given = { adapterType: 'python_port', signatureSpec: 'question -> answer', ...fields };
      return String((await readyProgram(used.stack, given)).slug);
    },
    async optimize(program: string, body: JsonObject) {
      const asked = { dataset: used.dataset, ...body };
      return demand(await used.stack.http.post(`/v1/programs/${program}:optimize`, asked), 202);
    },
    ended: (id: unknown) =>
      eventually(async () => {
        const job = demand(await used.stack.http.get(`/v1/optimizationJobs/${id}`), 200);
        expect(['COMPLETED', 'FAILED', 'CANCELLED'].map((word) => `OPTIMIZATION_STATUS_${word}`)).toContain(job.status);
        return job;
      }, 60_000),
    programOf: async (slug: string) => demand(await used.stack.http.get(`/v1/programs/${slug}`), 200),
  } as { -readonly [Key in keyof Optimizing]: Optimizing[Key] };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'signet-optimizers-'));
    await writeFile(join(folder, 'own_optimizers.py'), optimizers);
    const listed = ['rewrite', 'broken'].map((name) => `${name}=own_optimizers:${name}`).join(',');
    used.lm = await startScriptedLm({ behaviour: (request) => used.behaviour(request) });
    used.stack = await startStack({
      engines: 'python',
      lm: used.lm.url,
      env: { SIGNET_LM_ALLOW_PRIVATE: 'true' },
      envOf: {
        executor,
        sidecar: { SIGNET_SIDECAR_WORKERS: '1', SIGNET_PYTHON_PATH: folder, SIGNET_PYTHON_MODULES: listed },
      },
    });
    used.dataset = await filled(used.stack, { train: 12, validation: 6, test: 5 });
  });
  afterAll(async () => {
    await used.stack?.close();
    await used.lm?.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    used.lm.reset();
    used.behaviour = knowsByDemos;
  });
  return used;
}

async function filled(stack: Stack, counts: Record<string, number>): Promise<string> {
  const name = uniqueName('data');
  demand(await stack.http.post('/v1/datasets', { name, slug: name, signatureSpec: 'question -> answer' }), 201);
  let number = 0;
  const rows = Object.entries(counts).flatMap(([split, count]) =>
    Array.from({ length: count }, () => {
      number += 1;
      return JSON.stringify({ inputs: { question: `q ${number}` }, outputs: { answer: `N${number}` }, split });
    }),
  );
  const headers = { 'content-type': 'application/x-ndjson' };
  demand(await stack.http.post(`/v1/datasets/${name}/examples:import`, rows.join('\n'), { headers }), 201);
  return name;
}
