// A pipeline that searches in three ways at once, merges what was found and answers from it: compose, initialize, run, look at its steps.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const { SIGNET_URL = 'http://127.0.0.1:8080', SIGNET_KEY = '' } = process.env;
const question = process.argv[2] ?? 'What colour is the buoy that marks the wreck?';

const search = { type: 'retrieve', signatureSpec: 'query: str, k: int = 10 -> passages: list[dict]' };
await register({ ...search, name: 'vector_retriever', pythonModule: 'python:VectorRetriever' });
await register({ ...search, name: 'keyword_retriever', pythonModule: 'python:KeywordRetriever' });
await register({
  name: 'harbour_answers',
  type: 'predict',
  pythonModule: 'dspy.ChainOfThought',
  signatureSpec: 'query: str, context: list -> response: str',
});

const pipelineSpec = JSON.parse(await readFile(join(import.meta.dirname, 'pipeline.json'), 'utf8')) as unknown;
const modules = ['vector_retriever', 'keyword_retriever', 'harbour_answers'];
const { slug } = await post('/v1/programs:compose', { name: 'rag example', modules, pipelineSpec });
console.log(`composed ${slug}`);
const { status } = await post(`/v1/programs/${slug}:initialize`, {});
console.log(`initialized ${String(status).replace('PROGRAM_STATUS_', '')}`);

const run = await post(`/v1/programs/${slug}:run`, { inputs: { query: question } });
console.log(`answered: ${(run.outputs as { response: string }).response}${run.degraded ? ' (degraded)' : ''}`);

type Node = { execution: { step: string; status: string; outputs?: Record<string, unknown> }; children?: Node[] };
const tree = (await call('GET', `/v1/executions/${run.executionId}:tree`)) as Node;
for (const { execution } of tree.children ?? []) {
  console.log(`  ${execution.step}: ${execution.status.replace('EXECUTION_STATUS_', '')}`);
  const result = execution.outputs?.result;
  if (execution.step === 'merge_results' && Array.isArray(result)) {
    const best = result.slice(0, 3).map((passage: { id?: string; pid?: string }) => passage.id ?? passage.pid);
    console.log(`    best: ${best.join(', ')}`);
  }
}

async function register(module: Readonly<Record<string, unknown>>): Promise<void> {
  const known = await fetch(`${SIGNET_URL}/v1/modules/${module.name}`, { headers: headers() });
  if (known.status === 404) await post('/v1/modules', module);
}

function post(path: string, body: unknown): Promise<Record<string, unknown>> {
  return call('POST', path, body);
}

async function call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(`${SIGNET_URL}${path}`, { method, headers: headers(), ...sent });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

function headers(): Record<string, string> {
  return { authorization: `Bearer ${SIGNET_KEY}`, 'content-type': 'application/json' };
}
