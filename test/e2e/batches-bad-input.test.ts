import { eventually } from '@signet/kit/testing/eventually.ts';
import { BatchServiceService, UploadBatchRequest } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { beforeAll, describe, expect, it } from 'vitest';
import { csv, ndjson, rows, useBatching } from '../support/batching.ts';
import type { JsonObject } from '../support/http.ts';
import { demand, readyProgram, uniqueName } from '../support/programs.ts';

const used = useBatching();

describe('PRF-02 batches of rows that do not fit', () => {
  it('report every row that does not fit, with line and field, and keep nothing', async () => {
    const body = ['{"q":"a","n":1}', '{"q":"a","n":"x"}', '{"q":', '', '{"n":1}', '[]'].join('\n');
    const answer = await used.upload(used.qa, body, '&name=bad');
    expect([answer.status, answer.body.reason]).toEqual([400, 'INPUT_INVALID']);
    expect(answer.body.metadata).toMatchObject({ rejected: '4', line: '2' });
    const violations = answer.body.violations as JsonObject[];
    expect(violations.map(({ field }) => field)).toEqual(['lines[2].n', 'lines[3]', 'lines[5].q', 'lines[6]']);
    const { batches } = demand(
      await used.stack.http.get(`/v1/batches?filter=${encodeURIComponent('name = "bad"')}`),
      200,
    );
    expect(batches).toEqual([]);
  });

  it('keep the rows that fit where the caller wants that', async () => {
    const body = 'q,n\na,1\nb,x\nc,3,4\nd,4\n';
    const made = demand(await used.upload(used.qa, body, '&onError=keep_good', csv), 201);
    expect([made.itemCount, made.rejectedCount]).toEqual(['2', '2']);
    expect((made.rowFaults as JsonObject[]).map(({ line, field, reason }) => [line, field, reason])).toEqual([
      ['3', 'n', 'TYPE_MISMATCH'],
      ['4', '', 'ROW_WIDTH'],
    ]);
    expect((await used.reaches(String(made.id), 'COMPLETED')).completedCount).toBe('2');
  });

  it.each([
    ['text/csv', 'q,n\na,"1\n', 'line'],
    ['text/csv', 'q,q\na,1\n', 'line'],
    ['application/json', '[]', ''],
    ['', '{"q":"a","n":1}', ''],
  ])('refuse a file that cannot be read: %s %j', async (type, body, metadata) => {
    const answer = await used.upload(used.qa, body, '', { headers: { 'content-type': type } });
    if (type === '') return expect(answer.status).toBe(201);
    expect([answer.status, answer.body.reason]).toEqual([400, 'INVALID_REQUEST']);
    if (metadata !== '') expect(answer.body.metadata).toHaveProperty(metadata);
  });

  describe('over a dataset', () => {
    let dataset = '';
    beforeAll(async () => {
      const made = demand(
        await used.stack.http.post('/v1/datasets', { name: uniqueName('questions'), program: used.qa }),
        201,
      );
      dataset = String(made.slug);
      const lines = Array.from({ length: 90 }, (_, n) => {
        const split = n % 3 === 0 ? 'test' : 'train';
        return JSON.stringify({ inputs: { q: `question ${n}`, n }, outputs: { a: 'x' }, split });
      });
      const path = `/v1/datasets/${dataset}/examples:import`;
      demand(await used.stack.http.send('POST', path, lines.join('\n'), ndjson), 201);
    });

    const over = (more: JsonObject) => used.stack.http.post('/v1/batches', { program: used.qa, dataset, ...more });

    it('run the examples of its splits, each named by its item', async () => {
      const made = await over({ splits: ['test'], name: 'over a dataset' });
      expect([made.status, made.headers.location]).toEqual([201, `/v1/batches/${made.body.id}`]);
      const id = String(made.body.id);
      const done = await used.reaches(id, 'COMPLETED');
      expect(done).toMatchObject({ itemCount: '30', completedCount: '30', datasetVersion: 1, splits: ['SPLIT_TEST'] });
      const { items } = demand(await used.stack.http.get(`/v1/batches/${id}/items`), 200);
      const [first] = items as JsonObject[];
      expect(first).toMatchObject({ inputs: { q: 'question 0', n: 0 } });
      const { examples } = demand(await used.stack.http.get(`/v1/datasets/${dataset}/examples?split=test`), 200);
      expect((examples as JsonObject[]).map(({ id }) => id)).toContain(first!.exampleId);
    });

    it('fail as a whole where examples do not fit, or leave them out', async () => {
      const signatureSpec = `q: Literal['question 1', 'question 2'], n: int -> a: str`;
      const strict = String((await readyProgram(used.stack, { adapterType: 'mock', signatureSpec })).slug);
      const whole = demand(await over({ program: strict }), 201);
      const failed = await used.reaches(String(whole.id), 'FAILED');
      expect(failed).toMatchObject({ itemCount: '0', rejectedCount: '88' });
      expect((failed.rowFaults as JsonObject[])[0]).toMatchObject({ field: 'q' });
      const some = demand(await over({ program: strict, onError: 'keep_good' }), 201);
      const done = await used.reaches(String(some.id), 'COMPLETED');
      expect(done).toMatchObject({ completedCount: '2', rejectedCount: '88' });
    });

    it.each([
      [{ dataset: 'nobody' }, 404, 'DATASET_NOT_FOUND'],
      [{ dataset: '' }, 400, 'INVALID_REQUEST'],
      [{ splits: ['holdout'] }, 400, 'INVALID_REQUEST'],
      [{ name: 'x'.repeat(201) }, 400, 'INVALID_REQUEST'],
      [{ labels: { batch: 'mine' } }, 400, 'INVALID_REQUEST'],
      [{ program: 'nobody' }, 404, 'PROGRAM_NOT_FOUND'],
    ])('refuse %j', async (more: JsonObject, status, reason) => {
      const refused = await over(more);
      expect([refused.status, refused.body.reason]).toEqual([status, reason]);
    });
  });

  it('leave nothing of an upload that breaks off', async () => {
    async function* broken(): AsyncGenerator<UploadBatchRequest> {
      yield UploadBatchRequest.fromPartial({ program: used.qa, name: 'broken', content: Buffer.from(rows(1_000)) });
      throw new Error('the source broke');
    }
    const method = BatchServiceService.uploadBatch;
    const upload = async () => {
      for await (const _ of used.stack.grpc.duplex(method, broken()));
    };
    await expect(upload()).rejects.toThrow();
    await eventually(async () => {
      const { batches } = demand(
        await used.stack.http.get(`/v1/batches?filter=${encodeURIComponent('name = "broken"')}`),
        200,
      );
      expect(batches).toEqual([]);
    });
  });
});
