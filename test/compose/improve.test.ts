import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createHttpClient, type HttpClient } from '../support/http.ts';
import { demand, readyProgram, uniqueName } from '../support/programs.ts';
import { openProject, type ProjectHandle } from './project.ts';

const provided = inject('compose');
const script = join(import.meta.dirname, '..', '..', 'examples', 'improve', 'improve.ts');

describe.skipIf('missing' in provided)('pipelines and improvement in containers', () => {
  let http: HttpClient;
  let env: Record<string, string>;

  beforeAll(async () => {
    const project = openProject(provided as ProjectHandle);
    const [doors, key] = [await project.doors(), await project.secret('admin_key')];
    http = createHttpClient(doors.http, key);
    env = { PATH: process.env.PATH ?? '', SIGNET_URL: `http://${doors.http}`, SIGNET_KEY: key };
  });
  afterAll(() => http?.close());

  it('has what an optimization needs: imports, evaluates, optimizes, promotes through a gate and rolls back', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [script], { env, timeout: 100_000 });
    expect(stdout.trim().split('\n')).toEqual([
      'imported 24 examples',
      expect.stringMatching(/^version 1 scores [01]\.\d\d on the test split$/),
      expect.stringMatching(/^optimized: [01]\.\d\d before, [01]\.\d\d after, \d+ calls of the model$/),
      'version 2 serves',
      expect.stringMatching(/^version 2 answers by ENGINE_NATIVE: /),
      'version 1 serves again',
    ]);
  });

  it('runs a pipeline with a function out of the folder of one’s own', async () => {
    const slug = uniqueName('count');
    const pipelineSpec = {
      inputs: 'text: str',
      steps: [{ id: 'count', type: 'function', function: 'count_words', input: { text: { $ref: 'input.text' } } }],
    };
    const module = `shorten_${Date.now()}`;
    const signatureSpec = 'text: str -> summary: str';
    const registered = { name: module, type: 'predict', pythonModule: 'dspy.Predict', signatureSpec };
    demand(await http.post('/v1/modules', registered), 201);
    demand(await http.post('/v1/programs:compose', { name: slug, slug, modules: [module], pipelineSpec }), 201);
    demand(await http.post(`/v1/programs/${slug}:initialize`, {}), 200);
    const ran = demand(await http.post(`/v1/programs/${slug}:run`, { inputs: { text: 'one two three' } }), 200);
    expect(ran).toMatchObject({ status: 'EXECUTION_STATUS_COMPLETED', outputs: { words: 3 } });
  });

  it('scores by Python out of the folder of one’s own', async () => {
    const program = await readyProgram({ http }, { signatureSpec: 'question -> answer', adapterType: 'mock' });
    const dataset = uniqueName('shouts');
    demand(await http.post('/v1/datasets', { name: dataset, slug: dataset, signatureSpec: 'question -> answer' }), 201);
    const rows = '{"question": "Who?", "answer": "ADA"}\n';
    const headers = { 'content-type': 'application/x-ndjson' };
    demand(await http.post(`/v1/datasets/${dataset}/examples:import?split=test`, rows, { headers }), 201);
    const metric = { kind: 'python', name: 'shouts' };
    const begun = await http.post(`/v1/programs/${program.slug}:evaluate`, { dataset, splits: ['test'], metric });
    const { id } = demand(begun, 202);
    await eventually(async () => {
      const evaluation = demand(await http.get(`/v1/evaluations/${id}`), 200);
      expect(evaluation).toMatchObject({ status: 'EVALUATION_STATUS_COMPLETED', resultCount: '1', errorCount: '0' });
    }, 30_000);
  });
});
