import type { Role } from '@signet/kit/call-context.ts';
import { type DeepPartial, ListProgramsRequest } from '@signet/proto/gen/signet/v1/program_service.ts';
import { describe, expect, it } from 'vitest';
import { inner, programs, refusal } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry();

const list = (fields: DeepPartial<ListProgramsRequest>, role?: Role) =>
  registry.call(programs.listPrograms, ListProgramsRequest.fromPartial(fields), role);
const get = (program: string, includeArchived = false, role?: Role) =>
  registry.call(programs.getProgram, { program, includeArchived }, role);

describe('making programs', () => {
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

  it('PRG-24 finds or makes one program for quick executions of a signature on an engine', async () => {
    const plain = { module: '', lm: '', instructions: '', composed: false };
    const ensure = (adapterType: 1 | 3 | 99, signatureSpec = 'quick: str -> one: str', signatureModule = '') =>
      registry.call(inner.ensureQuickProgram, {
        signatureSpec,
        signatureModule,
        adapterType: adapterType as 1,
        ...plain,
      });
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
