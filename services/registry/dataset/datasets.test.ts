import {
  AddExamplesRequest,
  EnsureDatasetRequest,
  type InternalExample,
  DatasetInternalServiceService as inner,
  ReadExamplesRequest,
} from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import { DuplicatePolicy, FaultPolicy, Split } from '@signet/proto/gen/signet/v1/dataset.ts';
import {
  CreateDatasetRequest,
  DatasetServiceService as datasets,
  ExampleFormat,
  ExportExamplesRequest,
  GetDatasetStatisticsRequest,
  ImportExamplesRequest,
  ListDatasetsRequest,
  ListDatasetVersionsRequest,
  ListExamplesRequest,
  UpdateDatasetRequest,
} from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { describe, expect, it } from 'vitest';
import { refusal, startTestRegistry } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry();
let made = 0;

const create = (fields: Partial<CreateDatasetRequest> = {}) => {
  const typed =
    fields.signature || fields.program
      ? {}
      : { signatureSpec: 'question: str, k: int = 3 -> answer: str, score: float' };
  const request = CreateDatasetRequest.fromPartial({ name: `set ${++made}`, ...typed, ...fields });
  return registry.call(datasets.createDataset, request, 'editor');
};

async function* pieces(
  dataset: string,
  text: string | readonly unknown[],
  options: Partial<ImportExamplesRequest> = {},
): AsyncGenerator<ImportExamplesRequest> {
  const file = typeof text === 'string' ? text : text.map((row) => JSON.stringify(row)).join('\n');
  const bytes = Buffer.from(file);
  yield ImportExamplesRequest.fromPartial({ dataset, ...options, data: bytes.subarray(0, 10) });
  for (let at = 10; at < bytes.length; at += 1000) {
    yield ImportExamplesRequest.fromPartial({ data: bytes.subarray(at, at + 1000) });
  }
}

const bring = (dataset: string, text: string | readonly unknown[], options: Partial<ImportExamplesRequest> = {}) =>
  registry.upload(datasets.importExamples, pieces(dataset, text, options), 'editor');

const examples = async (dataset: string, more: Partial<ReadExamplesRequest> = {}): Promise<InternalExample[]> => {
  const found: InternalExample[] = [];
  const request = ReadExamplesRequest.fromPartial({ dataset, ...more });
  for await (const page of registry.stream(inner.readExamples, request)) found.push(...page.examples);
  return found;
};
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const rowOf = (index: number, more: object = {}) => ({
  inputs: { question: `q${index}` },
  outputs: { answer: `a${index}` },
  ...more,
});
const staged = async (): Promise<number> => {
  const counts = await registry.sql.query(
    'select (select count(*) from registry.example_staging) + (select count(*) from registry.example_imports) as total',
  );
  return Number(counts.rows[0].total);
};

describe('datasets', () => {
  it('C-18 createDataset types a dataset by a specification, a signature or a program', async () => {
    const bySpec = await create({ name: 'Fragen & Antworten', labels: { team: 'search' } });
    expect(bySpec).toMatchObject({
      slug: 'fragen-antworten',
      signatureSpec: 'question: str, k: int = 3 -> answer: str, score: float',
      latestVersion: 0,
      exampleCount: 0n,
    });
    expect((await create({ name: 'Fragen & Antworten' })).slug).toBe('fragen-antworten-2');
    const program = await registry.createProgram({ name: 'typed', signatureSpec: 'a: int -> b: bool' });
    const byProgram = await create({ program: program.slug });
    expect(byProgram).toMatchObject({ signatureSpec: 'a: int -> b: bool', signatureId: program.signatureId });
    expect((await create({ signature: program.signatureId })).signatureSpec).toBe('a: int -> b: bool');
  });

  it.each([
    [{ name: '' }, 'INVALID_REQUEST'],
    [{ slug: 'No Slug' }, 'INVALID_REQUEST'],
    [{ signatureSpec: '' }, 'INVALID_REQUEST'],
    [{ signatureSpec: 'a -> b', program: 'x', signature: '' }, 'INVALID_REQUEST'],
    [{ signatureSpec: 'a -> ' }, 'SIGNATURE_SYNTAX'],
    [{ signatureSpec: 'a: what -> b' }, 'SIGNATURE_TYPE'],
    [{ signature: 'Nobody' }, 'SIGNATURE_NOT_FOUND'],
    [{ signature: 'No\0body' }, 'INVALID_REQUEST'],
    [{ program: 'nobody' }, 'PROGRAM_NOT_FOUND'],
  ])('createDataset refuses %j with %s', async (fields, reason) => {
    expect((await refusal(create(fields))).reason).toBe(reason);
  });

  it('getDataset, listDatasets, updateDataset and deleteDataset keep what they say', async () => {
    const dataset = await create({ slug: 'kept', labels: { kind: 'kept' } });
    expect((await refusal(create({ slug: 'kept' }))).reason).toBe('NAME_TAKEN');
    expect(await registry.call(datasets.getDataset, { dataset: 'kept' })).toEqual(dataset);
    const update = UpdateDatasetRequest.fromPartial({ dataset: 'kept', description: 'new', etag: dataset.etag });
    const changed = await registry.call(datasets.updateDataset, update, 'editor');
    expect(changed).toMatchObject({ id: dataset.id, description: 'new', labels: { kind: 'kept' } });
    expect((await refusal(registry.call(datasets.updateDataset, update))).reason).toBe('ETAG_MISMATCH');
    const masked = UpdateDatasetRequest.fromPartial({ dataset: 'kept', updateMask: ['example_count'] });
    expect((await refusal(registry.call(datasets.updateDataset, masked))).fieldViolations[0]?.reason).toBe(
      'OUTPUT_ONLY',
    );
    const list = ListDatasetsRequest.fromPartial({
      filter: 'labels.kind = kept AND example_count = 0',
      orderBy: 'slug',
    });
    expect((await registry.call(datasets.listDatasets, list)).datasets).toEqual([changed]);
    const audit = await registry.sql.query(
      'select action, operation, actor from registry.audit_log where resource_id = $1 order by id',
      [dataset.id],
    );
    expect(audit.rows.map(({ action, operation }) => `${action} ${operation}`)).toEqual([
      'CreateDataset create',
      'UpdateDataset update',
    ]);
    await bring('kept', [rowOf(1)]);
    await registry.call(datasets.deleteDataset, { dataset: 'kept', etag: '', requestId: '' }, 'editor');
    expect((await refusal(registry.call(datasets.getDataset, { dataset: dataset.id }))).reason).toBe(
      'DATASET_NOT_FOUND',
    );
    // What runs over it reads on by its id; its slug is free.
    expect(await examples(dataset.id)).toHaveLength(1);
    expect(await registry.call(inner.resolveDataset, { dataset: dataset.id, version: 1 })).toMatchObject({
      deleted: true,
    });
    expect((await create({ slug: 'kept' })).id).not.toBe(dataset.id);
  });
});

describe('importExamples', () => {
  it('makes each import one immutable version that can be read for ever', async () => {
    const { id } = await create();
    const first = await bring(id, [rowOf(1), rowOf(2, { split: 'test', weight: 2.5, label: 'hard' })], {
      note: 'first',
    });
    expect(first).toMatchObject({ rowCount: 2n, addedCount: 2n, duplicateCount: 0n, faultyCount: 0n, faults: [] });
    expect(first.version).toMatchObject({ version: 1, exampleCount: 2n, createdBy: 'editor', note: 'first' });
    const second = await bring(id, [rowOf(3), rowOf(1)]);
    expect(second).toMatchObject({ addedCount: 1n, duplicateCount: 1n });
    expect(second.version).toMatchObject({
      version: 2,
      exampleCount: 3n,
      splitCounts: { train: 2n, validation: 0n, test: 1n },
    });
    const third = await bring(id, [rowOf(1, { outputs: { answer: 'better' } })], {
      duplicates: DuplicatePolicy.DUPLICATE_POLICY_REPLACE,
    });
    expect(third).toMatchObject({ addedCount: 0n, replacedCount: 1n });
    expect(third.version).toMatchObject({ version: 3, exampleCount: 3n });
    const fourth = await bring(id, [rowOf(9), rowOf(3)], { replaceAll: true });
    expect(fourth.version).toMatchObject({ version: 4, exampleCount: 2n, addedCount: 1n, removedCount: 2n });
    const answers = async (version: number) =>
      (await examples(id, { version })).map(({ outputsJson }) => JSON.parse(text(outputsJson)).answer);
    expect(await answers(1)).toEqual(['a1', 'a2']);
    expect(await answers(2)).toEqual(['a1', 'a2', 'a3']);
    expect(await answers(3)).toEqual(['better', 'a2', 'a3']);
    expect(await answers(4)).toEqual(['a3', 'a9']);
    expect(await answers(0)).toEqual(['a3', 'a9']);
    const versions = await registry.call(
      datasets.listDatasetVersions,
      ListDatasetVersionsRequest.fromPartial({ dataset: id, pageSize: 3 }),
    );
    expect(versions.versions.map(({ version }) => version)).toEqual([4, 3, 2]);
    expect(await registry.call(datasets.getDatasetVersion, { dataset: id, version: 1 })).toEqual(first.version);
    for (const version of [5, 99]) {
      expect((await refusal(registry.call(datasets.getDatasetVersion, { dataset: id, version }))).reason).toBe(
        'VERSION_NOT_FOUND',
      );
    }
    expect(await staged()).toBe(0);
  });

  it('changes nothing when the same rows come again, however their inputs are written', async () => {
    const { id } = await create({ signatureSpec: 'x: float, y: dict -> z: int' });
    await bring(id, '{"inputs":{"x":1.50,"y":{"b":1,"a":[10]}},"outputs":{"z":1}}');
    const again = await bring(id, '{"inputs":{"y":{"a":[1e1],"b":1.0},"x":15e-1},"outputs":{"z":1}}\n');
    expect(again).toMatchObject({ version: undefined, addedCount: 0n, duplicateCount: 1n });
    expect((await registry.call(datasets.getDataset, { dataset: id })).latestVersion).toBe(1);
    const other = await bring(id, '{"inputs":{"y":{"a":[10],"b":10000000000000000000001},"x":15e-1}}\n');
    expect(other.addedCount).toBe(1n);
  });

  it('keeps the first of equal rows in a file, or the last where it replaces', async () => {
    const rows = ['first', 'second', 'third'].map((answer) => ({ inputs: { question: 'same' }, outputs: { answer } }));
    const kept = async (duplicates: DuplicatePolicy) => {
      const { id } = await create();
      expect(await bring(id, rows, { duplicates })).toMatchObject({ addedCount: 1n, duplicateCount: 2n });
      return JSON.parse(text((await examples(id))[0]!.outputsJson)).answer;
    };
    expect(await kept(DuplicatePolicy.DUPLICATE_POLICY_SKIP)).toBe('first');
    expect(await kept(DuplicatePolicy.DUPLICATE_POLICY_REPLACE)).toBe('third');
  });

  it('checks every value by the signature and says line and field of each fault; nothing is kept', async () => {
    const { id } = await create();
    const rows = [
      rowOf(1),
      { inputs: { question: 7 }, outputs: { answer: 'x' } },
      { inputs: {}, outputs: { answer: 'x', score: 'high' } },
      { inputs: { question: 'q', what: 1 } },
      { inputs: { question: 'q' }, split: 'exam', weight: -1, label: 'x\ny' },
      { inputs: { question: 'q' }, extra: true },
      [1],
    ];
    const error = await refusal(bring(id, `${rows.map((row) => JSON.stringify(row)).join('\n')}\n{"inputs":}`));
    expect(error.reason).toBe('INVALID_REQUEST');
    expect(error.metadata).toMatchObject({ rows: '8', faulty: '7', line: '2' });
    expect(error.fieldViolations.map(({ field, reason }) => `${field} ${reason}`)).toEqual([
      'lines[2].inputs.question TYPE_MISMATCH',
      'lines[3].inputs.question FIELD_MISSING',
      'lines[3].outputs.score TYPE_MISMATCH',
      'lines[4].inputs.what FIELD_UNKNOWN',
      'lines[5].split UNKNOWN_VALUE',
      'lines[5].weight OUT_OF_RANGE',
      'lines[5].label INVALID',
      'lines[6].extra FIELD_UNKNOWN',
      'lines[7] TYPE_MISMATCH',
      'lines[8] JSON_SYNTAX',
    ]);
    expect(await examples(id)).toEqual([]);
    expect(await staged()).toBe(0);
  });

  it('keeps the good rows where the caller wants so, and lists the first hundred faults of the others', async () => {
    const { id } = await create();
    const rows = Array.from({ length: 1300 }, (_, index) =>
      index % 2 === 0 ? rowOf(index) : { inputs: { question: index } },
    );
    const result = await bring(id, rows, { onError: FaultPolicy.FAULT_POLICY_KEEP_GOOD });
    expect(result).toMatchObject({ rowCount: 1300n, addedCount: 650n, faultyCount: 650n });
    expect(result.faults).toHaveLength(100);
    expect(result.faults[0]).toMatchObject({ line: 2n, field: 'inputs.question', reason: 'TYPE_MISMATCH' });
    expect(result.version).toMatchObject({ exampleCount: 650n, faultyCount: 650n });
    const none = await bring(id, [{ inputs: {} }], { onError: FaultPolicy.FAULT_POLICY_KEEP_GOOD, replaceAll: true });
    expect(none).toMatchObject({ version: undefined, faultyCount: 1n });
    expect(await examples(id)).toHaveLength(650);
  });

  it('reads flat rows and CSV by the names of fields and by columns that the caller names', async () => {
    const { id } = await create();
    await bring(id, '{"question":"flat","answer":"yes","score":0.5,"split":"dev"}\n{"question":"other"}');
    const csv = 'Frage,answer,score,Teil,id\n"viele\nZeilen, ""ja""",ok,1,test,7\nleer,,,,8\n';
    const columns = { Frage: 'question', Teil: '$split', id: '' };
    const result = await bring(id, csv, { format: ExampleFormat.EXAMPLE_FORMAT_CSV, columns });
    expect(result).toMatchObject({ addedCount: 2n });
    expect((await examples(id)).map((one) => [text(one.inputsJson), text(one.outputsJson), one.split])).toEqual([
      ['{"question":"flat","k":3}', '{"answer":"yes","score":0.5}', Split.SPLIT_VALIDATION],
      ['{"question":"other","k":3}', '{}', Split.SPLIT_TRAIN],
      ['{"question":"viele\\nZeilen, \\"ja\\"","k":3}', '{"answer":"ok","score":1.0}', Split.SPLIT_TEST],
      ['{"question":"leer","k":3}', '{}', Split.SPLIT_TRAIN],
    ]);
    const bad = 'question,k,answer\na,one,x\nb,2\nc,3,x\n';
    const error = await refusal(bring(id, bad, { format: ExampleFormat.EXAMPLE_FORMAT_CSV }));
    expect(error.fieldViolations.map(({ field, reason }) => `${field} ${reason}`)).toEqual([
      'lines[2].inputs.k TYPE_MISMATCH',
      'lines[3] ROW_WIDTH',
    ]);
    const broken = await refusal(
      bring(id, 'question,answer\ngood,x\n"bad,x\nmore,y\n', {
        format: ExampleFormat.EXAMPLE_FORMAT_CSV,
        onError: FaultPolicy.FAULT_POLICY_KEEP_GOOD,
      }),
    );
    expect(broken).toMatchObject({ reason: 'INVALID_REQUEST', metadata: { line: '3' } });
    expect(await examples(id)).toHaveLength(4);
    expect(await staged()).toBe(0);
  });

  it('divides rows by shares and a seed so that an example is always in the same split', async () => {
    const ratios = { train: 8, validation: 1, test: 1 };
    const rows = Array.from({ length: 1000 }, (_, index) => rowOf(index));
    const divide = async (order: readonly unknown[], seed: bigint) => {
      const { id } = await create();
      await bring(id, order, { ratios, seed });
      const found = await examples(id);
      return new Map(found.map(({ inputsJson, split }) => [text(inputsJson), split]));
    };
    const first = await divide(rows, 7n);
    const counts = [...first.values()].reduce((sum, split) => sum.set(split, (sum.get(split) ?? 0) + 1), new Map());
    expect(counts.get(Split.SPLIT_TRAIN)).toBeGreaterThan(740);
    expect(counts.get(Split.SPLIT_TEST)).toBeGreaterThan(60);
    expect(await divide(rows.toReversed(), 7n)).toEqual(first);
    expect(await divide(rows, 8n)).not.toEqual(first);
  });

  it.each<[string, Partial<ImportExamplesRequest>, string]>([
    ['a split that nobody knows', { split: 77 as Split }, 'split'],
    ['a format that nobody knows', { format: 77 as ExampleFormat }, 'format'],
    ['a policy that nobody knows', { duplicates: 77 as DuplicatePolicy }, 'duplicates'],
    ['shares and a split', { split: Split.SPLIT_TEST, ratios: { train: 1, validation: 0, test: 0 } }, 'ratios'],
    ['shares below zero', { ratios: { train: -1, validation: 2, test: 0 } }, 'ratios'],
    ['no shares at all', { ratios: { train: 0, validation: 0, test: 0 } }, 'ratios'],
    ['shares that are no numbers', { ratios: { train: Number.NaN, validation: 1, test: 0 } }, 'ratios'],
    ['columns of fields that there are not', { columns: { a: 'anwser' } }, 'columns.a'],
    ['a note that is too long', { note: 'x'.repeat(1001) }, 'note'],
  ])('refuses %s', async (_what, options, field) => {
    const { id } = await create();
    const error = await refusal(bring(id, [rowOf(1)], options));
    expect(error.reason).toBe('INVALID_REQUEST');
    expect(error.fieldViolations.map((one) => one.field)).toContain(field);
  });

  it('refuses files without rows and datasets that are not there', async () => {
    const { id } = await create();
    expect((await refusal(bring(id, '\n\n'))).reason).toBe('INVALID_REQUEST');
    expect((await refusal(bring(id, 'question\n', { format: ExampleFormat.EXAMPLE_FORMAT_CSV }))).reason).toBe(
      'INVALID_REQUEST',
    );
    expect((await refusal(bring('nobody', [rowOf(1)]))).reason).toBe('DATASET_NOT_FOUND');
    async function* nothing(): AsyncGenerator<ImportExamplesRequest> {}
    expect((await refusal(registry.upload(datasets.importExamples, nothing()))).reason).toBe('DATASET_NOT_FOUND');
  });

  it('leaves nothing of an import that is cut off', async () => {
    const { id } = await create();
    async function* cut(): AsyncGenerator<ImportExamplesRequest> {
      const rows = Array.from({ length: 2000 }, (_, index) => `${JSON.stringify(rowOf(index))}\n`).join('');
      yield ImportExamplesRequest.fromPartial({ dataset: id, data: Buffer.from(rows) });
      await expect.poll(staged).toBeGreaterThan(1000);
      throw new Error('the line broke');
    }
    await expect(registry.upload(datasets.importExamples, cut())).rejects.toThrow('the line broke');
    await expect.poll(staged).toBe(0);
    expect(await examples(id)).toEqual([]);
    expect((await registry.call(datasets.getDataset, { dataset: id })).latestVersion).toBe(0);
  });

  it('gives up an import whose rows are gone', async () => {
    const { id } = await create();
    async function* slow(): AsyncGenerator<ImportExamplesRequest> {
      yield ImportExamplesRequest.fromPartial({
        dataset: id,
        data: Buffer.from(`${JSON.stringify(rowOf(1))}\n`.repeat(600)),
      });
      await expect.poll(staged).toBeGreaterThan(1);
      await registry.sql.query('truncate registry.example_staging, registry.example_imports');
      yield ImportExamplesRequest.fromPartial({ data: Buffer.from(JSON.stringify(rowOf(2))) });
    }
    expect((await refusal(registry.upload(datasets.importExamples, slow()))).reason).toBe('WRITE_CONFLICT');
    expect(await examples(id)).toEqual([]);
  });

  it('sweeps what dead processes left, and the examples of datasets that were deleted a day ago', async () => {
    const [dead, young] = [await create(), await create()];
    for (const { id } of [dead, young]) {
      await bring(id, [rowOf(1)]);
      await registry.call(datasets.deleteDataset, { dataset: id, etag: '', requestId: '' });
    }
    await registry.sql.query(`update registry.datasets set delete_time = now() - interval '25 h' where id = $1`, [
      dead.id,
    ]);
    const row = `gen_random_uuid(), 1, gen_random_uuid(), 'train', true, sha256('x'), '{}', '{}', 1, ''`;
    await registry.sql.query(
      `insert into registry.example_imports values (gen_random_uuid(), gen_random_uuid(), now() - interval '11 min')`,
    );
    await registry.sql.query(`insert into registry.example_staging values (${row})`);
    const sweeper = await startTestRegistry(registry.databaseUrl, { options: { sweepEveryMs: 50 } });
    await expect.poll(staged).toBe(0);
    await expect.poll(() => examples(dead.id)).toEqual([]);
    expect(await examples(young.id)).toHaveLength(1);
    await sweeper.close();
  });

  it('keeps a mended example in its split unless another one is named', async () => {
    const { id } = await create();
    const replace = { duplicates: DuplicatePolicy.DUPLICATE_POLICY_REPLACE };
    const splitAfter = async (row: object, options: Partial<ImportExamplesRequest>) => {
      await bring(id, [{ ...rowOf(1), ...row }], options);
      return (await examples(id))[0]!.split;
    };
    expect(await splitAfter({ split: 'test' }, {})).toBe(Split.SPLIT_TEST);
    expect(await splitAfter({ outputs: { answer: 'b' } }, replace)).toBe(Split.SPLIT_TEST);
    const ratios = { train: 1, validation: 0, test: 0 };
    expect(await splitAfter({ outputs: { answer: 'c' } }, { ...replace, ratios })).toBe(Split.SPLIT_TEST);
    expect(await splitAfter({ outputs: { answer: 'd' } }, { ...replace, split: Split.SPLIT_VALIDATION })).toBe(
      Split.SPLIT_VALIDATION,
    );
    expect(await splitAfter({}, { ratios, replaceAll: true })).toBe(Split.SPLIT_TRAIN);
  });

  it('lets imports into one dataset come at once: each is a version, no example stands twice', async () => {
    const { id } = await create();
    const results = await Promise.all(
      Array.from({ length: 6 }, (_, from) =>
        bring(
          id,
          Array.from({ length: 300 }, (_, index) => rowOf(from * 200 + index)),
        ),
      ),
    );
    expect(results.map(({ version }) => version?.version).toSorted()).toEqual([1, 2, 3, 4, 5, 6]);
    const all = await examples(id);
    expect(all).toHaveLength(1300);
    expect(new Set(all.map(({ inputsJson }) => text(inputsJson))).size).toBe(1300);
    expect(all.map(({ position }) => Number(position))).toEqual(Array.from({ length: 1300 }, (_, index) => index + 1));
  });
});

describe('examples', () => {
  it('listExamples reads a version by pages, and goes on in it when a newer one comes between', async () => {
    const { id } = await create();
    await bring(
      id,
      Array.from({ length: 25 }, (_, index) => rowOf(index, { label: index % 2 ? 'odd' : 'even' })),
    );
    const ask = (more: Partial<ListExamplesRequest>) =>
      registry.call(datasets.listExamples, ListExamplesRequest.fromPartial({ dataset: id, pageSize: 10, ...more }));
    const first = await ask({});
    expect(first.examples[0]).toMatchObject({
      position: 1n,
      weight: 1,
      label: 'even',
      sinceVersion: 1,
      sourceExecutionId: '',
    });
    expect(first.examples[0]?.inputs?.kind).toEqual({ $case: 'struct', value: { question: 'q0', k: 3 } });
    await bring(id, [rowOf(100)], { replaceAll: true });
    const second = await ask({ pageToken: first.nextPageToken });
    const third = await ask({ pageToken: second.nextPageToken });
    expect(third.examples.at(-1)?.position).toBe(25n);
    expect(third.nextPageToken).toBe('');
    expect((await ask({})).examples).toHaveLength(1);
    const odd = await ask({ version: 1, filter: 'label = odd AND position > 20', split: Split.SPLIT_TRAIN });
    expect(odd.examples.map(({ position }) => position)).toEqual([22n, 24n]);
    expect((await ask({ version: 1, split: Split.SPLIT_TEST })).examples).toEqual([]);
    expect((await refusal(ask({ pageToken: first.nextPageToken, filter: 'label = odd' }))).reason).toBe(
      'PAGE_TOKEN_INVALID',
    );
    expect((await refusal(ask({ filter: 'inputs = x' }))).reason).toBe('FILTER_SYNTAX');
    expect((await refusal(ask({ version: 3 }))).reason).toBe('VERSION_NOT_FOUND');
    expect((await refusal(ask({ version: -1 }))).reason).toBe('INVALID_REQUEST');
  });

  it('readExamples goes on behind a position, ends at a limit, and keeps its pages small', async () => {
    const { id } = await create();
    const large = Array.from({ length: 12 }, (_, index) => ({
      inputs: { question: `${index}${'x'.repeat(500_000)}` },
    }));
    await bring(id, large);
    let pages = 0;
    for await (const page of registry.stream(inner.readExamples, ReadExamplesRequest.fromPartial({ dataset: id }))) {
      pages++;
      expect(page.examples.length).toBeLessThan(6);
    }
    expect(pages).toBeGreaterThan(2);
    const behind = await examples(id, { afterPosition: 10n });
    expect(behind.map(({ position }) => position)).toEqual([11n, 12n]);
    expect((await examples(id, { limit: 7n })).map(({ position }) => position)).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n]);
    const list = await registry.call(datasets.listExamples, ListExamplesRequest.fromPartial({ dataset: id }));
    expect(list.examples.length).toBeLessThan(12);
    expect(list.nextPageToken).not.toBe('');
  });

  it.each([ExampleFormat.EXAMPLE_FORMAT_NDJSON, ExampleFormat.EXAMPLE_FORMAT_CSV])(
    'exportExamples writes a file that imports as the same examples (format %s)',
    async (format) => {
      const signatureSpec =
        'question: str, tags: list[str], n: int | None, any: Any -> answer: str, ok: bool, more: dict';
      const { id } = await create({ signatureSpec });
      await bring(
        id,
        [
          {
            inputs: { question: 'a,"b"\r\nc', tags: ['x', 'y,"z"'], any: '5' },
            outputs: { answer: '', ok: true },
            split: 'test',
          },
          {
            inputs: { question: '', tags: [], n: 12345678901, any: 5 },
            outputs: { more: { a: null } },
            weight: 0.25,
            label: 'l',
          },
        ].map((row) =>
          format === ExampleFormat.EXAMPLE_FORMAT_CSV && row.outputs.answer === ''
            ? { ...row, outputs: { ok: true } }
            : row,
        ),
      );
      let file = '';
      const request = ExportExamplesRequest.fromPartial({ dataset: id, format });
      for await (const piece of registry.stream(datasets.exportExamples, request)) {
        expect(piece.contentType).toMatch(format === ExampleFormat.EXAMPLE_FORMAT_CSV ? /^text\/csv/ : /ndjson$/);
        file += text(piece.data);
      }
      const copy = await create({ signatureSpec });
      await bring(copy.id, file, { format });
      const about = ({ inputsJson, outputsJson, split, weight, label }: InternalExample) => [
        ...[text(inputsJson), text(outputsJson), split, weight, label],
      ];
      expect((await examples(copy.id)).map(about)).toEqual((await examples(id)).map(about));
    },
  );

  it('getDatasetStatistics tells how fields are filled, once for each version', async () => {
    const { id } = await create();
    await bring(id, [
      ...Array.from({ length: 3000 }, (_, index) => ({
        inputs: { question: 'x'.repeat((index % 5) + 1) + index, k: index % 7 },
        outputs: index % 3 === 0 ? {} : { answer: index % 2 ? 'yes' : 'no', score: index / 3000 },
      })),
      { inputs: { question: 'x0', k: 0 }, outputs: {} },
    ]);
    const ask = (version: number) =>
      registry.call(datasets.getDatasetStatistics, GetDatasetStatisticsRequest.fromPartial({ dataset: id, version }));
    const found = await ask(0);
    expect(found).toMatchObject({ version: 1, exampleCount: 3000n, unlabelledCount: 1000n, duplicateCount: 1n });
    const [question, k, answer, score] = found.fields;
    expect(question).toMatchObject({
      field: 'inputs.question',
      type: 'str',
      filledCount: 3000n,
      measure: 'length',
      min: 2,
      max: 9,
    });
    expect(question?.distinctCount).toBe(3000n);
    expect(k).toMatchObject({ filledCount: 3000n, distinctCount: 7n, measure: 'value', min: 0, max: 6 });
    expect(answer).toMatchObject({ field: 'outputs.answer', filledCount: 2000n, distinctCount: 2n });
    expect(score?.mean).toBeCloseTo(0.5, 2);
    await registry.sql.query(
      `update registry.dataset_versions set statistics = jsonb_set(statistics, '{unlabelledCount}', '7')`,
    );
    expect((await ask(1)).unlabelledCount).toBe(7n);
    const empty = await create();
    const none = await registry.call(datasets.getDatasetStatistics, { dataset: empty.id, version: 0 });
    expect(none).toMatchObject({ version: 0, exampleCount: 0n });
    expect(none.fields.every(({ filledCount, measure }) => filledCount === 0n && measure === '')).toBe(true);
  });

  it('ensureDataset and addExamples make a dataset of rows that came with a request, once', async () => {
    const program = await registry.createProgram({ name: 'inline', signatureSpec: 'a: int -> b: str' });
    const request = EnsureDatasetRequest.fromPartial({ slug: 'inline-job-1', program: program.id });
    const [one, two] = [
      await registry.call(inner.ensureDataset, request),
      await registry.call(inner.ensureDataset, request),
    ];
    expect(two).toEqual(one);
    expect(one).toMatchObject({ slug: 'inline-job-1', version: 0, signatureSpec: 'a: int -> b: str' });
    async function* rows(): AsyncGenerator<AddExamplesRequest> {
      const row = (a: number) => ({ inputsJson: Buffer.from(`{"a":${a}}`), outputsJson: Buffer.from('{"b":"x"}') });
      yield AddExamplesRequest.fromPartial({
        dataset: one.datasetId,
        split: Split.SPLIT_TRAIN,
        rows: [row(1), row(2)],
      });
      yield AddExamplesRequest.fromPartial({ rows: [{ ...row(3), split: Split.SPLIT_TEST }] });
    }
    const added = await registry.upload(inner.addExamples, rows());
    expect(added.version).toMatchObject({
      version: 1,
      exampleCount: 3n,
      splitCounts: { train: 2n, validation: 0n, test: 1n },
      source: 4,
    });
    expect((await registry.upload(inner.addExamples, rows())).version).toBeUndefined();
    async function* bad(): AsyncGenerator<AddExamplesRequest> {
      const inputsJson = Buffer.from('{"a":1');
      yield AddExamplesRequest.fromPartial({
        dataset: one.datasetId,
        rows: [{ inputsJson }, { inputsJson: Buffer.from('[]') }],
      });
    }
    const error = await refusal(registry.upload(inner.addExamples, bad()));
    expect(error.fieldViolations.map(({ field }) => field)).toEqual(['lines[1].inputs', 'lines[2].inputs']);
  });
});
