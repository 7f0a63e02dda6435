// The loop of improvement: import data, evaluate, optimize, gate, promote, serve natively, roll back.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Json = Record<string, unknown>;

const { SIGNET_URL: url = 'http://127.0.0.1:8080', SIGNET_KEY: key = '' } = process.env;
const name = `sorter-${Date.now().toString(36)}`;
const spec = "message: str -> team: Literal['billing', 'delivery', 'technical']";
const metric = { kind: 'exact_match', field: 'team' };

await call('POST', '/v1/datasets', { name, slug: name, signatureSpec: spec });
const csv = readFileSync(join(import.meta.dirname, 'messages.csv'), 'utf8');
const imported = await call('POST', `/v1/datasets/${name}/examples:import`, csv, 'text/csv');
console.log(`imported ${imported.addedCount} examples`);

await call('POST', '/v1/programs', { name, slug: name, signatureSpec: spec, adapterType: 'python_port' });
await call('POST', `/v1/programs/${name}:initialize`, {});

const evaluation = await ended(
  await call('POST', `/v1/programs/${name}:evaluate`, { dataset: name, splits: ['test'], metric }),
  'evaluations',
);
console.log(`version 1 scores ${shown((evaluation.summary as Json).mean)} on the test split`);

const budget = { lmCalls: 400, seconds: 900 };
const config = { max_bootstrapped_demos: 3, max_labeled_demos: 6 };
const job = await ended(
  await call('POST', `/v1/programs/${name}:optimize`, { type: 'bootstrap', dataset: name, metric, budget, config }),
  'optimizationJobs',
);
const { resultVersion, scoreBefore, scoreAfter, spend } = job as Json & { spend?: Json };
if (!resultVersion) throw new Error(`the optimization made no version: ${JSON.stringify(job.fault ?? job.status)}`);
console.log(
  `optimized: ${shown(scoreBefore)} before, ${shown(scoreAfter)} after, ${spend?.lmCalls ?? 0} calls of the model`,
);

const gate = { dataset: name, splits: ['test'], metric, maxDrop: 0 };
await call('PATCH', `/v1/programs/${name}`, { servingPolicy: { gate } });
const promoted = await call('POST', `/v1/programs/${name}/versions/${resultVersion}:promote`, { evaluate: true });
console.log(`version ${promoted.servingVersion} serves`);

const inputs = { message: 'The invoice shows the wrong amount.' };
const served = await call('POST', `/v1/programs/${name}:execute`, { inputs, executionOptions: { engine: 'native' } });
console.log(`version ${served.version} answers by ${served.engine}: ${(served.outputs as Json).team}`);

const back = await call('POST', `/v1/programs/${name}/versions/1:promote`, {});
console.log(`version ${back.servingVersion} serves again`);

/** Waits for the end of an evaluation or a job, and shows where it is. */
async function ended({ id }: Json, resource: string): Promise<Json> {
  for (let phase = ''; ; ) {
    const found = await call('GET', `/v1/${resource}/${id}`);
    if (/(COMPLETED|FAILED|CANCELLED)$/.test(String(found.status))) return found;
    if (found.phase !== undefined && found.phase !== phase) console.error(`  ${found.phase}`);
    phase = String(found.phase ?? '');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

async function call(method: string, path: string, body?: Json | string, type = 'application/json'): Promise<Json> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const headers = { authorization: `Bearer ${key}`, 'content-type': type };
  const answer = await fetch(`${url}${path}`, { method, headers, ...(body === undefined ? {} : { body: text }) });
  const read = (await answer.json()) as Json;
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${read.reason}: ${read.detail}`);
  return read;
}

function shown(score: unknown): string {
  return typeof score === 'number' ? score.toFixed(2) : 'nothing';
}
