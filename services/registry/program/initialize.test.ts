import { eventually } from '@signet/kit/testing/eventually.ts';
import type { Preparation } from '@signet/proto/gen/signet/v1/program.ts';
import { describe, expect, it } from 'vitest';
import { inner, programs, refusal } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry({ settleEveryMs: 50 });

const ready: Preparation = {
  state: 2,
  dspyProgramId: 'p',
  errorMessage: '',
  dialect: { dspy: '3.4.1' },
  nativeFault: '',
  createTime: undefined,
};
const failed: Preparation = {
  state: 3,
  dspyProgramId: '',
  errorMessage: 'no such model',
  dialect: {},
  nativeFault: '',
  createTime: undefined,
};
const begin = (program: string) => registry.call(inner.beginInitialize, { program });
const finish = (programId: string, fencingToken: bigint, preparation: Preparation = ready, version = 1) =>
  registry.call(inner.finishInitialize, { programId, fencingToken, version, preparation });
const get = (program: string) => registry.call(programs.getProgram, { program, includeArchived: true });
const named = (program: string) => ({ program, etag: '', requestId: '' });

describe('initializing', () => {
  it('TST-02 PRG-09 leads from DRAFT over INITIALIZING to READY', async () => {
    const { id } = await registry.createProgram({ name: 'one' });
    const begun = await begin(id);
    expect((await get(id)).status).toBe(2);
    expect(begun.program).toMatchObject({ programId: id, version: 1, status: 2 });
    const program = await finish(id, begun.fencingToken);
    expect(program).toMatchObject({ status: 3, dspyProgramId: 'p', servingVersion: 1, errorMessage: '' });
    const again = await refusal(begin(id));
    expect(again).toMatchObject({ reason: 'STATE_FORBIDS', message: 'Only draft programs can be initialized' });
    expect(again.metadata).toMatchObject({ state: 'ready', event: 'initialize' });
  });

  it('QUA-05 has one winner of 50', async () => {
    const { id } = await registry.createProgram({ name: 'fifty' });
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => begin(id)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason.reason).toBe('STATE_FORBIDS');
    }
  });

  it('C-11 ends in ERROR with its reason, which reset undoes', async () => {
    const { id } = await registry.createProgram({ name: 'fails' });
    expect((await refusal(registry.call(programs.resetProgram, named(id)))).metadata.state).toBe('draft');
    const { fencingToken } = await begin(id);
    expect(await finish(id, fencingToken, failed)).toMatchObject({
      status: 5,
      errorMessage: 'no such model',
      servingVersion: 0,
    });
    expect(await registry.call(programs.resetProgram, named(id))).toMatchObject({ status: 1, errorMessage: '' });
    const second = await begin(id);
    expect(second.fencingToken).toBeGreaterThan(fencingToken);
    expect(await finish(id, second.fencingToken, { ...ready, dialect: {} })).toMatchObject({ status: 3 });
    const version = await registry.call(programs.getProgramVersion, { program: id, version: 1 });
    expect(version.preparation).toMatchObject({ state: 2, dspyProgramId: 'p', errorMessage: '' });
  });

  it('refuses stale tokens: of another run, after archiving, after deleting, after the end', async () => {
    const { id } = await registry.createProgram({ name: 'stale' });
    const { fencingToken } = await begin(id);
    expect((await refusal(finish(id, fencingToken + 1n))).reason).toBe('STATE_FORBIDS');
    expect((await refusal(finish(id, 2n ** 62n))).reason).toBe('STATE_FORBIDS');
    await registry.call(programs.archiveProgram, named(id));
    expect((await refusal(finish(id, fencingToken))).reason).toBe('STATE_FORBIDS');
    expect((await get(id)).status).toBe(6);
    const other = await registry.createProgram({ name: 'stale too' });
    const begun = await begin(other.id);
    await registry.call(programs.deleteProgram, { ...named(other.id), force: true });
    expect((await refusal(finish(other.id, begun.fencingToken))).reason).toBe('PROGRAM_NOT_FOUND');
  });

  it('refuses an end that says nothing', async () => {
    const { id } = await registry.createProgram({ name: 'odd ends' });
    const { fencingToken } = await begin(id);
    expect((await refusal(finish(id, fencingToken, { ...ready, state: 1 }))).reason).toBe('INVALID_REQUEST');
    expect((await refusal(finish(id, fencingToken, { ...ready, dspyProgramId: '' }))).reason).toBe('INVALID_REQUEST');
    expect((await refusal(finish(id, fencingToken, ready, 7))).reason).toBe('VERSION_NOT_FOUND');
    expect(await finish(id, fencingToken)).toMatchObject({ status: 3 });
  });

  it('C-11 settles a transition that nobody renewed, and fences its owner off', async () => {
    const { id } = await registry.createProgram({ name: 'lost' });
    const { fencingToken } = await begin(id);
    const { rows } = await registry.sql.query(
      `select extract(epoch from transition_until - now())::float8 as left_s from registry.programs where id = $1`,
      [id],
    );
    expect(rows[0].left_s).toBeGreaterThan(50);
    expect(rows[0].left_s).toBeLessThanOrEqual(60);
    await registry.sql.query(`update registry.programs set transition_until = now() - interval '1 ms' where id = $1`, [
      id,
    ]);
    await eventually(async () =>
      expect(await get(id)).toMatchObject({ status: 5, errorMessage: 'initialization was interrupted' }),
    );
    expect((await refusal(finish(id, fencingToken))).reason).toBe('STATE_FORBIDS');
    expect((await refusal(registry.call(inner.renewTransition, { programId: id, fencingToken }))).reason).toBe(
      'STATE_FORBIDS',
    );
  });

  it('keeps a transition that is renewed', async () => {
    const { id } = await registry.createProgram({ name: 'renewed' });
    const { fencingToken } = await begin(id);
    await registry.sql.query(`update registry.programs set transition_until = now() + interval '5 s' where id = $1`, [
      id,
    ]);
    await registry.call(inner.renewTransition, { programId: id, fencingToken });
    const { rows } = await registry.sql.query(
      `select transition_until > now() + interval '50 s' as renewed from registry.programs where id = $1`,
      [id],
    );
    expect(rows[0].renewed).toBe(true);
  });

  it('keeps the first preparation of a dialect', async () => {
    const { id } = await registry.createProgram({ name: 'prepared' });
    const put = (preparation: Preparation, version = 1) =>
      registry.call(inner.putPreparation, { programId: id, version, preparation });
    expect(await put(ready)).toMatchObject({ state: 2, dspyProgramId: 'p' });
    expect(await put({ ...ready, dspyProgramId: 'later' })).toMatchObject({ dspyProgramId: 'p' });
    expect(await put(failed)).toMatchObject({ state: 3 });
    const resolved = await registry.call(inner.resolveProgram, { program: id, version: 1 });
    expect(resolved.preparation).toMatchObject({ state: 2, dialect: { dspy: '3.4.1' } });
    expect((await refusal(put(ready, 9))).reason).toBe('VERSION_NOT_FOUND');
  });
});
