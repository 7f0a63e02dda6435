import {
  DatasetServiceService as datasets,
  ImportExamplesRequest,
} from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { describe, expect, it } from 'vitest';
import { refusal, startTestRegistry } from '../test-support/registry.ts';
import { rowOf, useDatasets } from '../test-support/use-datasets.ts';

const { registry, create, bring, examples, staged } = useDatasets();

describe('an import under way', () => {
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
});
