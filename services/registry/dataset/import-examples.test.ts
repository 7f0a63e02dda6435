import { DuplicatePolicy, FaultPolicy, Split } from '@signet/proto/gen/signet/v1/dataset.ts';
import {
  DatasetServiceService as datasets,
  ExampleFormat,
  type ImportExamplesRequest,
  ListDatasetVersionsRequest,
} from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { describe, expect, it } from 'vitest';
import { refusal } from '../test-support/registry.ts';
import { rowOf, text, useDatasets } from '../test-support/use-datasets.ts';

const { registry, create, bring, examples, staged } = useDatasets();

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
