import { type DurablePostgres, startDurablePostgres } from '../../support/durable-postgres.ts';
import { createHttpClient, type HttpClient } from '../../support/http.ts';
import { demand, readyProgram, uniqueName } from '../../support/programs.ts';
import { createRandom } from '../../support/random.ts';
import { startScriptedLm } from '../../support/scripted-lm.ts';
import { startTwinStack, type TwinStack } from '../../support/twin-stack.ts';
import { AskedLog } from './asked.ts';

/** Steps of the pipeline that ask the model. */
export const LM_STEPS = ['first', 'left', 'middle', 'right', 'last'];

/** Two executors and two sidecars, with what is run on them. */
export type Ground = {
  readonly postgres: DurablePostgres;
  readonly stack: TwinStack;
  readonly http: HttpClient;
  readonly asked: AskedLog;
  /** The program that is a pipeline, the one of batches, and the dataset of optimizations. */
  readonly pipeline: string;
  readonly item: string;
  readonly dataset: string;
  /** Ends all processes. */
  close(): Promise<void>;
};

const HELD_OUT = 5;

/** How many examples each measurement of a version runs. */
export const HELD_OUT_COUNT = HELD_OUT;

/** Starts everything and makes the programs and the dataset; the model's delays follow from the seed. */
export async function startGround(seed: number): Promise<Ground> {
  const ends: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const asked = new AskedLog(createRandom(seed));
    const lm = await startScriptedLm({ behaviour: (request) => asked.answer(request), record: false });
    ends.push(() => lm.close());
    const postgres = await startDurablePostgres();
    ends.push(() => postgres.close());
    const stack = await startTwinStack(lm.url, { databaseUrl: postgres.url, alone: ['registry', 'gateway'] });
    ends.push(() => stack.close());
    const http = createHttpClient(stack.doors[0].http, stack.adminKey);
    ends.push(() => http.close());
    await serves(http);
    const made = {
      pipeline: await makePipeline(http),
      item: String(
        (await readyProgram({ http }, { adapterType: 'python_port', signatureSpec: 'q: str -> a: str' })).slug,
      ),
      dataset: await fillDataset(http),
    };
    return { postgres, stack, http, asked, ...made, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function serves(http: HttpClient): Promise<void> {
  const endMs = performance.now() + 25_000;
  for (;;) {
    const last = await http.get('/readyz', { key: '' }).catch(() => undefined);
    if (last?.status === 200) return;
    if (performance.now() > endMs) throw new Error(`the stack is not ready: ${last?.text}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const ref = (path: string) => ({ $ref: path });

async function makePipeline(http: HttpClient): Promise<string> {
  const fields = { type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'tag: str, x: str -> y: str' };
  demand(await http.post('/v1/modules', { name: 'echo', ...fields }), 201);
  const step = (id: string, x: unknown) => {
    const tag = { $cel: `"tag-" + input.run + "-${id}"` };
    return { id, type: 'module', module: 'echo', input: { tag, x } };
  };
  const steps = [
    step('first', ref('input.run')),
    { id: 'both', type: 'group', steps: ['left', 'middle', 'right'].map((id) => step(id, ref('steps.first.y'))) },
    { id: 'joined', type: 'function', function: 'value', input: ref('steps.both') },
    step('last', ref('steps.joined.right.y')),
  ];
  const pipelineSpec = { inputs: 'run: str', steps, return: { last: ref('steps.last.y'), both: ref('steps.joined') } };
  const { slug } = demand(await http.post('/v1/programs:compose', { modules: ['echo'], pipelineSpec }), 201);
  demand(await http.post(`/v1/programs/${slug}:initialize`), 200);
  return String(slug);
}

async function fillDataset(http: HttpClient): Promise<string> {
  const name = uniqueName('data');
  demand(await http.post('/v1/datasets', { name, slug: name, signatureSpec: 'question -> answer' }), 201);
  const splits = { train: 8, validation: 5, test: HELD_OUT };
  let number = 0;
  const rows = Object.entries(splits).flatMap(([split, count]) =>
    Array.from({ length: count }, () => {
      number += 1;
      return JSON.stringify({ inputs: { question: `q ${number}` }, outputs: { answer: `N${number}` }, split });
    }),
  );
  const headers = { 'content-type': 'application/x-ndjson' };
  demand(await http.post(`/v1/datasets/${name}/examples:import`, rows.join('\n'), { headers }), 201);
  return name;
}
