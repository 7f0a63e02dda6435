import { eventually } from '@signet/kit/testing/eventually.ts';
import {
  DatasetServiceService as datasets,
  ImportExamplesRequest,
  ListExamplesRequest,
} from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpOptions, JsonObject } from '../support/http.ts';
import { createProgram, demand, QA_INPUTS, QA_SPEC, readyProgram, uniqueName } from '../support/programs.ts';
import { query } from '../support/query.ts';
import { type Stack, startStack } from '../support/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

const ndjson = { headers: { 'content-type': 'application/x-ndjson' } } satisfies HttpOptions;
const csv = { headers: { 'content-type': 'text/csv' } } satisfies HttpOptions;

const create = async (fields: JsonObject = {}): Promise<JsonObject> => {
  const typed = 'program' in fields ? {} : { signatureSpec: QA_SPEC };
  return demand(await stack.http.post('/v1/datasets', { name: uniqueName('set'), ...typed, ...fields }), 201);
};
const rows = (count: number, more: JsonObject = {}): string =>
  Array.from({ length: count }, (_, index) =>
    JSON.stringify({ inputs: { question: `q${index}`, context: [] }, outputs: { answer: `a${index}` }, ...more }),
  ).join('\n');
const list = async (id: unknown, query = ''): Promise<JsonObject[]> =>
  demand(await stack.http.get(`/v1/datasets/${id}/examples${query}`), 200).examples as JsonObject[];
const feedback = async (id: unknown, body: JsonObject): Promise<void> => {
  demand(await stack.http.post(`/v1/executions/${id}:feedback`, body), 200);
};
const execute = async (slug: string, question: string): Promise<string> => {
  const inputs = { ...QA_INPUTS, question };
  return String(demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs }), 200).executionId);
};

describe('datasets', () => {
  it('C-18 a dataset is made, filled by NDJSON and CSV, listed, summed up, written out and forgotten over HTTP', async () => {
    const program = await createProgram(stack);
    const made = await create({ name: 'Questions', program: String(program.slug), labels: { team: 'search' } });
    expect(made).toMatchObject({ signatureSpec: QA_SPEC, signatureId: program.signatureId, latestVersion: 0 });
    const path = `/v1/datasets/${made.slug}`;
    const imported = await stack.http.post(
      `${path}/examples:import?ratios.train=0.8&ratios.test=0.2&seed=3`,
      rows(200),
      ndjson,
    );
    expect(demand(imported, 201)).toMatchObject({ rowCount: '200', addedCount: '200', version: { version: 1 } });
    expect(imported.headers.location).toBe(`/v1/datasets/${made.id}/versions/1`);
    expect((await stack.http.post(`${path}/examples:import`, rows(200), ndjson)).status).toBe(200);
    const table = 'Frage,context,answer\n"Wer, wo?","[""da""]",hier\n';
    const second = await stack.http.post(`${path}/examples:import?columns.Frage=question&split=validation`, table, csv);
    expect(demand(second, 201)).toMatchObject({ addedCount: '1', version: { version: 2, exampleCount: '201' } });
    const [example] = await list(made.slug, '?split=validation');
    expect(example).toMatchObject({
      split: 'SPLIT_VALIDATION',
      inputs: { question: 'Wer, wo?', context: ['da'] },
      outputs: { answer: 'hier' },
      sinceVersion: 2,
    });
    expect(await list(made.slug, '?version=1&split=validation')).toEqual([]);
    const versions = demand(await stack.http.get(`${path}/versions`), 200).versions as JsonObject[];
    expect(versions.map(({ version, source }) => [version, source])).toEqual([
      [2, 'IMPORT_SOURCE_CSV'],
      [1, 'IMPORT_SOURCE_NDJSON'],
    ]);
    expect(demand(await stack.http.get(`${path}/versions/1`), 200)).toEqual(versions[1]);
    const statistics = demand(await stack.http.get(`${path}/statistics`), 200);
    expect(statistics).toMatchObject({ version: 2, exampleCount: '201', duplicateCount: '0' });
    expect((statistics.fields as JsonObject[])[0]).toMatchObject({
      field: 'inputs.question',
      filledCount: '201',
      distinctCount: '201',
    });
    const file = await stack.http.get(`${path}/examples:export?format=csv`);
    expect([file.status, file.headers['content-type']]).toEqual([200, 'text/csv; charset=utf-8']);
    const copy = await create();
    const again = await stack.http.post(`/v1/datasets/${copy.id}/examples:import`, file.text, csv);
    expect(demand(again, 201)).toMatchObject({
      addedCount: '201',
      version: { splitCounts: (statistics.splitCounts ?? {}) as JsonObject },
    });
    const lines = (await stack.http.get(`${path}/examples:export?version=1`)).text.trim().split('\n');
    expect(lines).toHaveLength(200);
    expect(JSON.parse(lines[0]!)).toMatchObject({ inputs: { question: 'q0' } });
    const patched = demand(await stack.http.patch(path, { description: 'new' }), 200);
    expect(patched).toMatchObject({ description: 'new', labels: { team: 'search' } });
    const found = demand(await stack.http.get('/v1/datasets?filter=labels.team=search'), 200).datasets as JsonObject[];
    expect(found.map(({ id }) => id)).toEqual([made.id]);
    expect((await stack.http.delete(path)).status).toBe(204);
    expect((await stack.http.get(path)).body.reason).toBe('DATASET_NOT_FOUND');
  });

  it('a dataset is filled and read over gRPC', async () => {
    const dataset = String((await create()).id);
    const bytes = Buffer.from(rows(1000));
    const parts = [bytes.subarray(0, 17), bytes.subarray(17, 40_000), bytes.subarray(40_000)];
    const requests = parts.map((data, index) =>
      ImportExamplesRequest.fromPartial({ dataset: index === 0 ? dataset : '', data }),
    );
    const result = await stack.grpc.upload(datasets.importExamples, requests);
    expect(result).toMatchObject({ addedCount: 1000n, version: { version: 1 } });
    const page = await stack.grpc.unary(
      datasets.listExamples,
      ListExamplesRequest.fromPartial({ dataset, pageSize: 3 }),
    );
    expect(page.examples.map(({ position }) => position)).toEqual([1n, 2n, 3n]);
    let text = '';
    for await (const piece of stack.grpc.stream(datasets.exportExamples, {
      dataset,
      version: 0,
      split: 0,
      format: 0,
    })) {
      text += Buffer.from(piece.data).toString('utf8');
    }
    expect(text.trim().split('\n')).toHaveLength(1000);
    await expect(stack.grpc.upload(datasets.importExamples, requests, { key: '' })).rejects.toMatchObject({
      reason: 'KEY_MISSING',
    });
  });

  it.each<[string, string, HttpOptions, string, string]>([
    [
      'a value of another type',
      `${rows(1)}\n{"inputs":{"question":1,"context":[]}}`,
      ndjson,
      'lines[2].inputs.question',
      'TYPE_MISMATCH',
    ],
    ['an input that is missing', '{"inputs":{"question":"q"}}', ndjson, 'lines[1].inputs.context', 'FIELD_MISSING'],
    [
      'a field that there is not',
      '{"question":"q","context":[],"anwser":"a"}',
      ndjson,
      'lines[1].anwser',
      'FIELD_UNKNOWN',
    ],
    ['a line that is no JSON', '{"inputs":\n', ndjson, 'lines[1]', 'JSON_SYNTAX'],
    [
      'a nested bomb',
      `{"inputs":{"question":"q","context":${'['.repeat(5000)}${']'.repeat(5000)}}}`,
      ndjson,
      'lines[1]',
      'JSON_TOO_DEEP',
    ],
    ['a cell of another type', 'question,context\nq,none\n', csv, 'lines[2].inputs.context', 'TYPE_MISMATCH'],
    ['CSV with broken quoting', 'question,context\n"a",[]\n"b,[]\nc,[]\n', csv, 'lines[3]', 'CSV_QUOTE_NOT_CLOSED'],
    ['a header twice', 'question,question\na,b\n', csv, 'lines[1]', 'COLUMN_TWICE'],
  ])('refuses %s with its line and field, and keeps nothing', async (_what, file, options, field, reason) => {
    const { id } = await create();
    const answer = await stack.http.post(`/v1/datasets/${id}/examples:import`, file, options);
    expect([answer.status, answer.body.reason]).toEqual([400, 'INVALID_REQUEST']);
    expect(JSON.stringify(answer.body)).toContain(field);
    expect(JSON.stringify(answer.body)).toContain(reason);
    expect(await list(id)).toEqual([]);
    expect(demand(await stack.http.get(`/v1/datasets/${id}`), 200).latestVersion).toBe(0);
  });

  it('keeps good rows where the caller wants so', async () => {
    const { id } = await create();
    const file = `${rows(3)}\n{"inputs":{}}\nno json`;
    const answer = await stack.http.post(`/v1/datasets/${id}/examples:import?onError=keep_good`, file, ndjson);
    const result = demand(answer, 201);
    expect(result).toMatchObject({ rowCount: '5', addedCount: '3', faultyCount: '2' });
    expect((result.faults as JsonObject[]).map(({ line, field }) => [line, field])).toEqual([
      ['4', 'inputs.question'],
      ['4', 'inputs.context'],
      ['5', ''],
    ]);
  });

  it('lets viewers read and editors import', async () => {
    const { slug } = await create();
    const keyOf = async (role: string): Promise<string> =>
      String(demand(await stack.http.post('/v1/apiKeys', { name: uniqueName(role), role }), 201).secret);
    const [viewer, editor] = [await keyOf('viewer'), await keyOf('editor')];
    const path = `/v1/datasets/${slug}/examples:import`;
    expect((await stack.http.post(path, rows(1), { ...ndjson, key: viewer })).body.reason).toBe('ROLE_REQUIRED');
    expect((await stack.http.post(path, rows(1), { ...ndjson, key: editor })).status).toBe(201);
    expect((await stack.http.get(`/v1/datasets/${slug}/examples`, { key: viewer })).status).toBe(200);
  });
});

describe('ImportExecutions', () => {
  it('makes examples of executions: corrected outputs win, feedback chooses, a repeat adds nothing', async () => {
    const slug = String((await readyProgram(stack)).slug);
    const plain = await execute(slug, 'plain');
    const good = await execute(slug, 'good');
    const bad = await execute(slug, 'bad');
    const twice = await execute(slug, 'twice');
    await execute(slug, 'twice');
    await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { question: 'no context' } });
    await feedback(good, { score: 0.9, label: 'nice' });
    await feedback(bad, { score: 0.1 });
    await feedback(twice, { correctedOutputs: { answer: 'right', confidence: 1 } });
    const { id } = await create({ program: slug });
    const path = `/v1/datasets/${id}:importExecutions`;
    const chosen = demand(await stack.http.post(path, { program: slug, minScore: 0.5, split: 'SPLIT_TEST' }), 201);
    expect(chosen).toMatchObject({ addedCount: '1', version: { version: 1, source: 'IMPORT_SOURCE_EXECUTIONS' } });
    expect(await list(id)).toMatchObject([{ sourceExecutionId: good, label: 'nice', split: 'SPLIT_TEST' }]);
    expect(demand(await stack.http.post(path, { program: slug, requireFeedback: true }), 201)).toMatchObject({
      addedCount: '2',
      duplicateCount: '1',
    });
    const all = demand(await stack.http.post(path, { program: slug, filter: 'status = completed' }), 201);
    expect(all).toMatchObject({ rowCount: '5', addedCount: '1', duplicateCount: '4' });
    const examples = await list(id);
    expect(examples.map(({ sourceExecutionId }) => sourceExecutionId)).toEqual([good, twice, bad, plain]);
    expect(examples[1]).toMatchObject({ inputs: { question: 'twice' }, outputs: { answer: 'right', confidence: 1 } });
    const repeat = await stack.http.post(path, { program: slug });
    expect([repeat.status, repeat.body.version ?? null]).toEqual([200, null]);
    await feedback(bad, { correctedOutputs: { answer: 'mended', confidence: 1 } });
    const mended = demand(await stack.http.post(path, { program: slug, duplicates: 'DUPLICATE_POLICY_REPLACE' }), 201);
    expect(mended).toMatchObject({ addedCount: '0', replacedCount: '1' });
    expect((await list(id))[2]).toMatchObject({ outputs: { answer: 'mended' }, label: '' });
  });

  it('refuses what does not fit and keeps nothing', async () => {
    const slug = String((await readyProgram(stack)).slug);
    await execute(slug, 'one');
    const { id } = await create({ name: uniqueName('other'), signatureSpec: 'question: str -> answer: str' });
    const path = `/v1/datasets/${id}:importExecutions`;
    const misfit = await stack.http.post(path, { program: slug });
    expect([misfit.status, misfit.body.reason]).toEqual([400, 'INVALID_REQUEST']);
    expect(JSON.stringify(misfit.body)).toContain('lines[1].inputs.context');
    expect(await list(id)).toEqual([]);
    const reason = async (body: JsonObject, at = path) => (await stack.http.post(at, body)).body.reason;
    expect(await reason({ program: slug, minScore: 2 })).toBe('INVALID_REQUEST');
    expect(await reason({ program: slug, limit: -1 })).toBe('INVALID_REQUEST');
    expect(await reason({ program: slug, filter: 'inputs = x' })).toBe('FILTER_SYNTAX');
    expect(await reason({ program: slug, filter: 'status = failed' })).toBe('INVALID_REQUEST');
    expect(await reason({ program: 'nobody' })).toBe('PROGRAM_NOT_FOUND');
    expect(await reason({ module: 'nobody' })).toBe('MODULE_NOT_FOUND');
    expect(await reason({ program: slug }, '/v1/datasets/nobody:importExecutions')).toBe('DATASET_NOT_FOUND');
    expect(await reason({ program: slug, split: 'SPLIT_TEST', ratios: { train: 1 } })).toBe('INVALID_REQUEST');
  });
});

describe('an import', () => {
  it('leaves nothing when its process is killed, and can be sent again', async () => {
    const { id } = await create();
    const path = `/v1/datasets/${id}/examples:import`;
    let killed: Promise<void> | undefined;
    const answered = Promise.withResolvers<void>();
    async function* slowly(): AsyncGenerator<Buffer> {
      yield Buffer.from(`${rows(2000)}\n`);
      await eventually(async () => {
        const [found] = await query(stack.databaseUrl, 'select count(*)::int as staged from registry.example_staging');
        expect(found?.staged).toBeGreaterThan(0);
      });
      killed = stack.kill('registry');
      await killed;
      // Whatever is written to a door that has answered already may break the line before the answer is read.
      await answered.promise;
    }
    const cut = await fetch(`http://${stack.httpAddress}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.adminKey}`, 'content-type': 'application/x-ndjson' },
      body: ReadableStream.from(slowly()),
      duplex: 'half',
    });
    answered.resolve();
    expect(cut.status).toBe(503);
    expect(killed).toBeDefined();
    await killed;
    await stack.restart('registry');
    await eventually(async () => {
      expect(demand(await stack.http.get(`/v1/datasets/${id}`), 200).latestVersion).toBe(0);
    });
    expect(await list(id)).toEqual([]);
    expect(demand(await stack.http.post(path, rows(2000), ndjson), 201)).toMatchObject({ addedCount: '2000' });
  });
});
