import { ListApiKeysRequest } from '@signet/proto/gen/signet/v1/api_key_service.ts';
import { AuditServiceService as audit, ListAuditEntriesRequest } from '@signet/proto/gen/signet/v1/audit_service.ts';
import { CreateProgramRequest, UpdateProgramRequest } from '@signet/proto/gen/signet/v1/program_service.ts';
import { ParseSignatureRequest } from '@signet/proto/gen/signet/v1/signature_service.ts';
import { describe, expect, it } from 'vitest';
import { adminKey, apiKeys, inner, programs, refusal, signatures } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry();
const emptyCreate = CreateProgramRequest.fromPartial({});
const emptyUpdate = UpdateProgramRequest.fromPartial({});

const list = (fields: Partial<ListAuditEntriesRequest> = {}) =>
  registry.call(audit.listAuditEntries, ListAuditEntriesRequest.fromPartial(fields), 'admin');
const entriesOf = async (resourceId: string) =>
  (await list({ filter: `resource_id = "${resourceId}"`, orderBy: 'create_time' })).auditEntries;

describe('the audit log', () => {
  it('tells who made, changed and deleted a program by which call, with what changed alone', async () => {
    const program = await registry.call(
      programs.createProgram,
      { ...emptyCreate, name: 'audited', slug: 'audited', signatureSpec: 'a -> b' },
      'editor',
    );
    await registry.call(programs.updateProgram, { ...emptyUpdate, program: program.id, description: 'told' }, 'editor');
    await registry.makeReady(program.id);
    await registry.call(programs.deleteProgram, { program: program.id, force: true, etag: '', requestId: '' }, 'admin');
    const entries = await entriesOf(program.id);
    expect(entries.map(({ action, operation, actor }) => [action, operation, actor])).toEqual([
      ['CreateProgram', 'create', 'editor'],
      ['UpdateProgram', 'update', 'editor'],
      ['InitializeProgram', 'update', 'signet'],
      ['InitializeProgram', 'update', 'signet'],
      ['DeleteProgram', 'delete', 'admin'],
    ]);
    expect(entries[0]).toMatchObject({ resource: 'program', resourceName: 'audited', before: undefined });
    expect(entries[0]?.after).toMatchObject({ slug: 'audited', status: 'draft' });
    expect(entries[1]).toMatchObject({ before: { description: '' }, after: { description: 'told' } });
    expect(Object.keys(entries[1]?.after ?? {})).toEqual(['description']);
    expect(entries[2]?.after).toMatchObject({ status: 'initializing' });
    expect(entries[3]?.after).toMatchObject({ status: 'ready', servingVersion: 1 });
  });

  it('never holds a key or its hash', async () => {
    const { apiKey, secret } = await registry.call(
      apiKeys.createApiKey,
      { name: 'kept out', role: 2, expireTime: undefined, labels: {}, requestId: '' },
      'admin',
    );
    const [entry] = await entriesOf(apiKey!.id);
    expect(entry).toMatchObject({ action: 'CreateApiKey', after: { name: 'kept out', role: 'runner' } });
    const { rows } = await registry.sql.query('select a::text as row from registry.audit_log a');
    const { rows: keys } = await registry.sql.query(`select encode(key_hash, 'hex') as hash from registry.api_keys`);
    const dump = JSON.stringify(rows);
    for (const text of [secret, secret.slice(12), adminKey, ...keys.map(({ hash }) => hash)])
      expect(dump).not.toContain(text);
  });

  it('writes nothing for a change that was undone, and nothing for a read', async () => {
    const before = (await list({ pageSize: 1000 })).auditEntries.length;
    await refusal(registry.call(programs.updateProgram, { ...emptyUpdate, program: 'nobody', name: 'x' }, 'editor'));
    await refusal(registry.call(programs.createProgram, { ...emptyCreate, signatureSpec: '->' }, 'editor'));
    await registry.call(apiKeys.listApiKeys, ListApiKeysRequest.fromPartial({}), 'admin');
    expect((await list({ pageSize: 1000 })).auditEntries).toHaveLength(before);
  });

  it('keeps a large value by its size and hash', async () => {
    const signature = await registry.call(
      signatures.parseSignature,
      ParseSignatureRequest.fromPartial({ spec: 'q -> r', name: 'large' }),
      'editor',
    );
    await registry.sql.query('update registry.signatures set metadata = $2 where id = $1', [
      signature.id,
      JSON.stringify({ text: 'x'.repeat(20_000) }),
    ]);
    const entry = (await entriesOf(signature.id)).at(-1);
    expect(entry).toMatchObject({ operation: 'update', actor: 'signet', after: { metadata: { bytes: 20_012 } } });
  });

  it('can be added to and nothing else, even in the database', async () => {
    for (const change of [
      'delete from registry.audit_log',
      `update registry.audit_log set actor = 'x'`,
      'truncate registry.audit_log',
    ])
      await expect(registry.sql.query(change)).rejects.toThrow('append-only');
  });

  it('is read page by page, newest first, and by what a filter names', async () => {
    const first = await list({ pageSize: 2 });
    const second = await list({ pageSize: 2, pageToken: first.nextPageToken });
    const ids = [...first.auditEntries, ...second.auditEntries].map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
    expect([...ids].sort().reverse()).toEqual(ids);
    const deletions = await list({ filter: 'resource = program AND operation = delete' });
    expect(deletions.auditEntries.map(({ action }) => action)).toEqual(['DeleteProgram']);
    expect(await refusal(list({ filter: 'secret = x' }))).toMatchObject({ reason: 'FILTER_SYNTAX' });
    expect(await refusal(list({ pageSize: -1 }))).toMatchObject({ reason: 'INVALID_REQUEST' });
  });

  it('does not note that a preparation is kept alive', async () => {
    const program = await registry.createProgram({ name: 'renewed' });
    const begun = await registry.call(inner.beginInitialize, { program: program.id });
    const before = await entriesOf(program.id);
    await registry.call(inner.renewTransition, { programId: program.id, fencingToken: begun.fencingToken });
    expect(await entriesOf(program.id)).toEqual(before);
  });
});
