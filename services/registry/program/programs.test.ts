import type { Role } from '@signet/kit/call-context.ts';
import {
  type DeepPartial,
  ListProgramsRequest,
  UpdateProgramRequest,
} from '@signet/proto/gen/signet/v1/program_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import {
  inner,
  programs,
  refusal,
  signatures,
  startTestRegistry,
  type TestRegistry,
} from '../test-support/registry.ts';

let database: TestDatabase;
let registry: TestRegistry;

beforeAll(async () => {
  database = await createTestDatabase(['registry']);
  registry = await startTestRegistry(database.url);
});
afterAll(async () => {
  await registry?.close();
  await database?.drop();
});

const list = (fields: DeepPartial<ListProgramsRequest>, role?: Role) =>
  registry.call(programs.listPrograms, ListProgramsRequest.fromPartial(fields), role);
const update = (fields: DeepPartial<UpdateProgramRequest>) =>
  registry.call(programs.updateProgram, UpdateProgramRequest.fromPartial(fields));
const get = (program: string, includeArchived = false, role?: Role) =>
  registry.call(programs.getProgram, { program, includeArchived }, role);
const named = (program: string, etag = '') => ({ program, etag, requestId: '' });
const remove = (program: string, force = false) => registry.call(programs.deleteProgram, { ...named(program), force });
const json = (value: string) => ({ kind: { $case: 'json' as const, value: Buffer.from(value) } });

describe('programs', () => {
  it('TST-02 PRG-01 PRG-05 makes a draft with its signature', async () => {
    const made = await registry.createProgram({
      name: 'Test Program',
      signatureModule: 'Signet.QuestionAnswer',
      adapterType: 3,
    });
    expect(made).toMatchObject({
      name: 'Test Program',
      slug: 'test-program',
      status: 1,
      adapterType: 3,
      signatureModule: 'Signet.QuestionAnswer',
      dspyProgramId: '',
      errorMessage: '',
      servingVersion: 0,
      latestVersion: 1,
    });
    expect(made.configuration).toMatchObject({ module: 'predict', promptAdapter: 'chat', lm: '' });
    expect((await registry.createProgram({})).adapterType).toBe(1);
  });

  it('PRG-05 refuses modules that are not registered, importing nothing', async () => {
    for (const signatureModule of ['No.Such', 'os.system', 'Os.System', 'dspy.Predict']) {
      const error = await refusal(registry.createProgram({ signatureModule }));
      expect(error).toMatchObject({ reason: 'INVALID_REQUEST', message: 'Invalid signature module' });
      expect(error.fieldViolations[0]?.field).toBe('signature_module');
    }
  });

  it('PRG-06 PRG-07 QUA-05 makes one signature and 50 programs for 50 callers at once', async () => {
    const all = await Promise.all(
      Array.from({ length: 50 }, () =>
        registry.createProgram({ name: 'Fifty', signatureSpec: 'fifty: str -> programs: int' }),
      ),
    );
    expect(new Set(all.map(({ signatureId }) => signatureId)).size).toBe(1);
    expect(new Set(all.map(({ id }) => id)).size).toBe(50);
    const slugs = all.map(({ slug }) => slug);
    expect(new Set(slugs)).toEqual(
      new Set(['fifty', ...Array.from({ length: 49 }, (_, index) => `fifty-${index + 2}`)]),
    );
  });

  it('PRG-08 wants a name and exactly one signature, and says everything that is wrong at once', async () => {
    const none = await refusal(registry.createProgram({ name: ' ', signatureSpec: '' }));
    expect(none.fieldViolations.map(({ field, reason }) => [field, reason])).toEqual([
      ['name', 'REQUIRED'],
      ['signature', 'REQUIRED'],
    ]);
    const two = await refusal(registry.createProgram({ signatureSpec: 'a -> b', signatureModule: 'Signet.Summarize' }));
    expect(two.fieldViolations[0]).toMatchObject({ field: 'signature', reason: 'AMBIGUOUS' });
    const missing = await refusal(registry.createProgram({ signature: 'No.Such.One' }));
    expect(missing.reason).toBe('SIGNATURE_NOT_FOUND');
  });

  it('gives a slug that is free, and refuses one that is taken', async () => {
    await registry.createProgram({ slug: 'given', name: 'x' });
    const taken = await refusal(registry.createProgram({ slug: 'given', name: 'y' }));
    expect(taken).toMatchObject({ reason: 'NAME_TAKEN', metadata: { resource: 'given', field: 'slug' } });
    expect((await registry.createProgram({ name: 'Given' })).slug).toBe('given-2');
    expect((await registry.createProgram({ name: '???' })).slug).toMatch(/^program/);
    expect((await registry.createProgram({ name: '42 Größe' })).slug).toBe('gro-e');
    for (const slug of ['Upper', '1st', 'a b', '-a', 'ä', 'x'.repeat(64), "a'b"]) {
      expect((await refusal(registry.createProgram({ slug }))).fieldViolations[0]?.field).toBe('slug');
    }
  });

  it('keeps question marks, quotes and placeholders in texts as they are', async () => {
    const text = `a ? b ' c " d $1 \\ e ?? f :g`;
    const made = await registry.createProgram({
      name: text,
      description: text,
      labels: { a: text },
      variables: { [text]: text },
    });
    expect(await get(made.id)).toMatchObject({
      name: text,
      description: text,
      labels: { a: text },
      variables: { [text]: text },
    });
    expect((await list({ name: text })).programs.map(({ id }) => id)).toEqual([made.id]);
  });

  it('PRG-01 knows two modules and two prompt adapters, and imports no other', async () => {
    for (const module of ['os.system', 'dspy.Predict', 'Predict', 'react', '__import__("os")']) {
      const error = await refusal(registry.createProgram({ configuration: { module } }));
      expect([error.reason, error.fieldViolations[0]?.field]).toEqual(['MODULE_INVALID', 'configuration.module']);
    }
    expect((await refusal(registry.createProgram({ configuration: { lm: 'gpt' } }))).reason).toBe('LM_NOT_FOUND');
    const made = await registry.createProgram({
      configuration: { module: 'chain_of_thought', promptAdapter: 'json', lm: 'default' },
    });
    expect(made.configuration).toMatchObject({ module: 'chain_of_thought', promptAdapter: 'json' });
    const error = await refusal(
      registry.createProgram({
        configuration: {
          promptAdapter: 'xml',
          lmOptions: { temperature: 3, maxTokens: 0, topP: 0, presencePenalty: Number.NaN, stop: [''] },
        },
      }),
    );
    expect(error.fieldViolations.map(({ field }) => field)).toEqual([
      'configuration.prompt_adapter',
      'configuration.lm_options.temperature',
      'configuration.lm_options.max_tokens',
      'configuration.lm_options.presence_penalty',
      'configuration.lm_options.top_p',
      'configuration.lm_options.stop[0]',
    ]);
  });

  it('keeps every digit of demos and options', async () => {
    const demo = '{"question":"how many?","count":9007199254740993,"exact":0.1000000000000000055511151231257827}';
    const made = await registry.createProgram({
      signatureSpec: 'question: str -> count: int, exact: float',
      configuration: { demos: [json(demo)], lmOptions: { seed: 9007199254740993n, temperature: 0.1 } },
    });
    expect(made.configuration?.demos[0]).toEqual(json(demo));
    expect(made.configuration?.lmOptions?.seed).toBe(9007199254740993n);
    const resolved = await registry.call(inner.resolveProgram, { program: made.id, version: 0 });
    expect(resolved.configuration?.demos[0]).toEqual(json(demo));
    expect((await get(made.id)).configuration?.demos[0]?.kind?.$case).toBe('struct');
  });

  it.each([
    ['{"question":5}', 'configuration.demos[0].question'],
    ['{"count":"many"}', 'configuration.demos[0].count'],
    ['[1]', 'configuration.demos[0]'],
    ['{"question":"\\u0000"}', 'configuration.demos[0].question'],
    ['{"question":"\\ud800"}', 'configuration.demos[0].question'],
    ['{"question":1e999}', 'configuration.demos[0]'],
    ['{"question":"a","question":"b"}', 'configuration.demos[0]'],
    [`${'['.repeat(33)}${']'.repeat(33)}`, 'configuration.demos[0]'],
    ['not json', 'configuration.demos[0]'],
    ['', 'configuration.demos[0]'],
  ])('refuses the demo %j', async (demo, field) => {
    const error = await refusal(
      registry.createProgram({ signatureSpec: 'question: str -> count: int', configuration: { demos: [json(demo)] } }),
    );
    expect([error.reason, error.fieldViolations[0]?.field]).toEqual(['INVALID_REQUEST', field]);
  });

  it('makes a new version of a new configuration, which serves only when it was prepared', async () => {
    const made = await registry.createProgram({ name: 'versions' });
    await registry.makeReady(made.id);
    const changed = await update({ program: made.slug, configuration: { instructions: 'Be brief.' } });
    expect(changed).toMatchObject({ status: 3, servingVersion: 1, latestVersion: 2 });
    expect(changed.configuration?.instructions).toBe('Be brief.');
    const { versions } = await registry.call(programs.listProgramVersions, {
      program: made.id,
      pageSize: 0,
      pageToken: '',
    });
    expect(
      versions.map(({ version, parentVersion, source, serving }) => [version, parentVersion, source, serving]),
    ).toEqual([
      [2, 1, 'update', false],
      [1, 0, 'create', true],
    ]);
    expect(versions.map(({ preparation }) => preparation?.state)).toEqual([1, 2]);
    expect((await registry.call(inner.resolveProgram, { program: made.id, version: 0 })).version).toBe(1);
    expect((await refusal(registry.call(programs.getProgramVersion, { program: made.id, version: 3 }))).reason).toBe(
      'VERSION_NOT_FOUND',
    );
    expect((await refusal(registry.call(programs.getProgramVersion, { program: made.id, version: -1 }))).reason).toBe(
      'INVALID_REQUEST',
    );
  });

  it('pins the signature of a version: later edits of the signature do not reach it', async () => {
    const made = await registry.createProgram({ name: 'pinned', signatureSpec: 'pinned: str -> here: str' });
    await registry.call(signatures.updateSignature, {
      ...{ signature: made.signatureId, spec: 'changed: int -> there: str', etag: '', requestId: '' },
      ...{ mlTypes: [], labels: {} },
    });
    await update({ program: made.id, configuration: { instructions: 'x' } });
    for (const version of [1, 2]) {
      const { signature } = await registry.call(programs.getProgramVersion, { program: made.id, version });
      expect(signature?.spec).toBe('pinned: str -> here: str');
    }
  });

  it('PRG-17 updates by mask and etag, and never the state', async () => {
    const made = await registry.createProgram({ name: 'updated', labels: { a: 'b' } });
    const changed = await update({ program: made.id, name: 'renamed', slug: 'renamed', etag: made.etag });
    expect(changed).toMatchObject({ name: 'renamed', slug: 'renamed', labels: { a: 'b' }, latestVersion: 1 });
    expect((await refusal(update({ program: made.id, name: 'x', etag: made.etag }))).reason).toBe('ETAG_MISMATCH');
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

  it('PRG-24 finds or makes one program for quick executions of a signature on an engine', async () => {
    const ensure = (adapterType: 1 | 3 | 99, signatureSpec = 'quick: str -> one: str', signatureModule = '') =>
      registry.call(inner.ensureQuickProgram, { signatureSpec, signatureModule, adapterType: adapterType as 1 });
    const all = await Promise.all(Array.from({ length: 50 }, () => ensure(3)));
    expect(new Set(all.map(({ programId }) => programId)).size).toBe(1);
    expect(all[0]).toMatchObject({ adapterType: 3, status: 1 });
    expect(all[0]?.name).toMatch(/^Quick Execute - Spec\.S[0-9a-f]{12}$/);
    expect((await ensure(1)).programId).not.toBe(all[0]?.programId);
    expect((await ensure(3, '', 'Signet.Summarize')).name).toBe('Quick Execute - Signet.Summarize');
    expect((await refusal(ensure(3, '', 'No.Such'))).message).toBe('Invalid signature module');
    expect((await refusal(ensure(3, '', ''))).reason).toBe('INVALID_REQUEST');
    expect((await refusal(ensure(99))).reason).toBe('INVALID_REQUEST');
  });
});
