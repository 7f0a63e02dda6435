import type { Role } from '@signet/kit/call-context.ts';
import { type DeepPartial, UpdateProgramRequest } from '@signet/proto/gen/signet/v1/program_service.ts';
import { describe, expect, it } from 'vitest';
import { inner, programs, refusal, signatures } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry();

const update = (fields: DeepPartial<UpdateProgramRequest>) =>
  registry.call(programs.updateProgram, UpdateProgramRequest.fromPartial(fields));
const get = (program: string, includeArchived = false, role?: Role) =>
  registry.call(programs.getProgram, { program, includeArchived }, role);
const json = (value: string) => ({ kind: { $case: 'json' as const, value: Buffer.from(value) } });

describe('configurations and their versions', () => {
  it('PRG-01 knows kinds of modules and two prompt adapters, and imports nothing', async () => {
    for (const module of ['os.system', 'dspy.Predict', 'Predict', 'no_such_module', '__import__("os")']) {
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
});
