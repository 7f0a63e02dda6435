import type { Role } from '@signet/kit/call-context.ts';
import {
  type DeepPartial,
  ListProgramsRequest,
  UpdateProgramRequest,
} from '@signet/proto/gen/signet/v1/program_service.ts';
import { describe, expect, it } from 'vitest';
import { inner, programs, refusal } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry();

const list = (fields: DeepPartial<ListProgramsRequest>, role?: Role) =>
  registry.call(programs.listPrograms, ListProgramsRequest.fromPartial(fields), role);
const update = (fields: DeepPartial<UpdateProgramRequest>) =>
  registry.call(programs.updateProgram, UpdateProgramRequest.fromPartial(fields));
const get = (program: string, includeArchived = false, role?: Role) =>
  registry.call(programs.getProgram, { program, includeArchived }, role);
const named = (program: string, etag = '') => ({ program, etag, requestId: '' });
const remove = (program: string, force = false) => registry.call(programs.deleteProgram, { ...named(program), force });

describe('programs', () => {
  it('PRG-17 updates by mask and etag, and never the state', async () => {
    const made = await registry.createProgram({ name: 'updated', labels: { a: 'b' } });
    const changed = await update({ program: made.id, name: 'renamed', slug: 'renamed', etag: made.etag });
    expect(changed).toMatchObject({ name: 'renamed', slug: 'renamed', labels: { a: 'b' }, latestVersion: 1 });
    expect((await refusal(update({ program: made.id, name: 'x', etag: made.etag }))).reason).toBe('ETAG_MISMATCH');
    expect(await update({ program: made.id })).toEqual(changed);
    for (const path of ['status', 'serving_version', 'adapter_type', 'configuration.module', 'nonsense']) {
      expect((await refusal(update({ program: made.id, updateMask: [path] }))).fieldViolations[0]?.field).toBe(
        'update_mask',
      );
    }
    expect(
      await update({ program: made.id, description: 'not named', labels: { c: 'd' }, updateMask: ['labels'] }),
    ).toMatchObject({
      description: '',
      labels: { c: 'd' },
    });
    await registry.createProgram({ slug: 'given' });
    expect((await refusal(update({ program: made.id, slug: 'given' }))).reason).toBe('NAME_TAKEN');
    expect((await refusal(update({ program: made.id, updateMask: ['name'] }))).fieldViolations[0]?.field).toBe('name');
    expect((await refusal(update({ program: 'nobody', name: 'x' }))).reason).toBe('PROGRAM_NOT_FOUND');
  });

  it('QUA-05 lets one of 20 updates with the same etag through', async () => {
    const made = await registry.createProgram({ name: 'contended' });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => update({ program: made.id, name: `n${index}`, etag: made.etag })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('PRG-17 deletes idle ones, others by force, and frees their names', async () => {
    const made = await registry.createProgram({ name: 'deleted', slug: 'deleted' });
    await registry.makeReady(made.id);
    expect(await refusal(remove('deleted'))).toMatchObject({
      reason: 'STATE_FORBIDS',
      metadata: { state: 'ready', event: 'delete' },
    });
    await remove('deleted', true);
    expect((await refusal(get(made.id))).reason).toBe('PROGRAM_NOT_FOUND');
    expect((await refusal(remove(made.id))).reason).toBe('PROGRAM_NOT_FOUND');
    expect((await registry.createProgram({ slug: 'deleted' })).id).not.toBe(made.id);
    const tombstone = await registry.call(inner.resolveProgram, { program: made.id, version: 0 });
    expect(tombstone).toMatchObject({ deleted: true, slug: 'deleted' });
  });

  it('PRG-15 POL-01 archives from any state, again without error, and hides it from all but admins who ask', async () => {
    const made = await registry.createProgram({ name: 'archived' });
    expect((await registry.call(programs.archiveProgram, named(made.id))).status).toBe(6);
    expect((await registry.call(programs.archiveProgram, named(made.id, 'stale'))).status).toBe(6);
    for (const role of ['viewer', 'runner', 'editor'] as const) {
      expect((await refusal(get(made.id, true, role))).reason).toBe('PROGRAM_NOT_FOUND');
      expect((await refusal(list({ includeArchived: true }, role))).reason).toBe('ROLE_REQUIRED');
    }
    expect((await refusal(get(made.id, false, 'admin'))).reason).toBe('PROGRAM_NOT_FOUND');
    expect((await get(made.id, true, 'admin')).status).toBe(6);
    const byName = { name: 'archived' };
    expect((await list(byName, 'admin')).programs).toHaveLength(0);
    expect((await list({ filter: 'status = archived', ...byName }, 'viewer')).programs).toHaveLength(0);
    expect((await list({ ...byName, includeArchived: true }, 'admin')).programs).toHaveLength(1);
    expect((await refusal(update({ program: made.id, name: 'x' }))).reason).toBe('STATE_FORBIDS');
    expect((await refusal(registry.call(inner.beginInitialize, { program: made.id }))).reason).toBe('STATE_FORBIDS');
    await remove(made.id);
  });

  it('PRG-03 DOM-03 filters, orders and pages, with `active` for ready', async () => {
    for (const [name, team] of [
      ['l1', 'x'],
      ['l2', 'y'],
      ['l3', 'x'],
    ] as const) {
      const { id } = await registry.createProgram({ name, adapterType: 3, labels: { team, listed: 'yes' } });
      if (name !== 'l2') await registry.makeReady(id);
    }
    const names = async (filter: string, orderBy = 'name') =>
      (await list({ filter, orderBy })).programs.map(({ name }) => name);
    expect(await names('labels.listed = yes AND status = active')).toEqual(['l1', 'l3']);
    expect(await names('labels.listed = yes AND status = PROGRAM_STATUS_READY', 'name desc')).toEqual(['l3', 'l1']);
    expect(await names('labels:listed AND NOT labels.team = "x"')).toEqual(['l2']);
    expect(await names('labels:listed AND adapter_type = mock AND inserted_at > 2020-01-01')).toHaveLength(3);
    expect(await names('labels:listed AND adapter_type = python')).toEqual([]);
    const first = await list({ filter: 'labels:listed', pageSize: 2 });
    expect(first.programs.map(({ name }) => name)).toEqual(['l3', 'l2']);
    const second = await list({ filter: 'labels:listed', pageSize: 2, pageToken: first.nextPageToken });
    expect(second.programs.map(({ name }) => name)).toEqual(['l1']);
    expect(second.nextPageToken).toBe('');
    const foreign = await refusal(list({ filter: 'labels:team', pageToken: first.nextPageToken }));
    expect(foreign.reason).toBe('PAGE_TOKEN_INVALID');
  });

  it.each([
    [{ pageSize: -1 }, 'INVALID_REQUEST'],
    [{ pageToken: 'nonsense' }, 'PAGE_TOKEN_INVALID'],
    [{ filter: 'status = nonsense' }, 'FILTER_SYNTAX'],
    [{ filter: "name = 'x' OR 1 = 1" }, 'FILTER_SYNTAX'],
    [{ orderBy: 'fencing_token' }, 'INVALID_REQUEST'],
    [{ status: 99 as 1 }, 'INVALID_REQUEST'],
    [{ name: '\u0000' }, 'INVALID_REQUEST'],
  ])('refuses the list %j with %s', async (fields, reason) => {
    expect((await refusal(list(fields))).reason).toBe(reason);
  });

  it('finds nothing under hostile names', async () => {
    for (const program of ["x' OR '1'='1", '\u0000', '', '?', 'x'.repeat(5000), '%']) {
      expect((await refusal(get(program))).reason).toBe('PROGRAM_NOT_FOUND');
      expect((await refusal(registry.call(inner.resolveProgram, { program, version: 0 }))).reason).toBe(
        'PROGRAM_NOT_FOUND',
      );
    }
  });
});
