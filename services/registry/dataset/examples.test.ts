import {
  AddExamplesRequest,
  EnsureDatasetRequest,
  type InternalExample,
  DatasetInternalServiceService as inner,
  ReadExamplesRequest,
} from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import { Split } from '@signet/proto/gen/signet/v1/dataset.ts';
import {
  DatasetServiceService as datasets,
  ExampleFormat,
  ExportExamplesRequest,
  GetDatasetStatisticsRequest,
  ListExamplesRequest,
} from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { describe, expect, it } from 'vitest';
import { refusal } from '../test-support/registry.ts';
import { rowOf, text, useDatasets } from '../test-support/use-datasets.ts';

const { registry, create, bring, examples } = useDatasets();

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
