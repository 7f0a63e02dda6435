import { DatasetInternalServiceService as inner } from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import {
  DatasetServiceService as datasets,
  ListDatasetsRequest,
  UpdateDatasetRequest,
} from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { describe, expect, it } from 'vitest';
import { refusal } from '../test-support/registry.ts';
import { rowOf, useDatasets } from '../test-support/use-datasets.ts';

const { registry, create, bring, examples } = useDatasets();

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
