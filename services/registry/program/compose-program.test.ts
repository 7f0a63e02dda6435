import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { loadPipeline } from '@signet/pipeline/load-pipeline.ts';
import { ModuleType as Type } from '@signet/proto/gen/signet/v1/module.ts';
import { ModuleServiceService as modules, RegisterModuleRequest } from '@signet/proto/gen/signet/v1/module_service.ts';
import {
  ComposeProgramRequest,
  type DeepPartial,
  ProgramServiceService as programs,
  UpdateProgramRequest,
} from '@signet/proto/gen/signet/v1/program_service.ts';
import { afterAll, describe, expect, it } from 'vitest';
import { inner, refusal } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';
import { loadFunctionNames } from './load-function-names.ts';

const registry = useTestRegistry();
const folder = mkdtempSync(join(tmpdir(), 'signet-functions-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

const register = (signatureSpec: string, pythonModule = 'dspy.Predict') =>
  registry.call(
    modules.registerModule,
    RegisterModuleRequest.fromPartial({
      name: `part_${++count}`,
      type: Type.MODULE_TYPE_PREDICT,
      pythonModule,
      ...(signatureSpec === '' ? {} : { signatureSpec }),
    }),
  );
const compose = (request: DeepPartial<ComposeProgramRequest>) =>
  registry.call(programs.composeProgram, ComposeProgramRequest.fromPartial(request));
const resolve = async (program: string, version = 0) => {
  const { pipelineJson, ...resolved } = await registry.call(inner.resolveProgram, { program, version });
  return { ...resolved, pipeline: loadPipeline(pipelineJson.toString()) };
};

describe('composing programs', () => {
  it('PIP-08 hands out the checked pipeline with what its steps are, and tells who watches', async () => {
    const { id, name } = await register('question: str -> answer: str', 'dspy.ChainOfThought');
    const told: string[] = [];
    const watch = new AbortController();
    const watching = (async () => {
      for await (const { change } of registry.watch(0n, watch.signal)) {
        if (change?.$case === 'program' && change.value.pipelineJson.length > 0) told.push(change.value.programId);
      }
    })().catch(() => undefined);
    const steps = [{ type: 'predict', module: id }];
    const program = await compose({ modules: [id], pipelineSpec: { steps } });
    expect(program).toMatchObject({ name: `Pipeline - ${name}`, signatureId: '', signatureModule: '', modules: [id] });
    const { pipeline, signature } = await resolve(program.id);
    expect(pipeline.steps).toMatchObject([{ kind: 'module', module: name, moduleId: id }]);
    // Chains of thought tell their reasoning besides what the signature declares.
    expect(signature?.spec).toBe('question: str -> reasoning: str, answer: str');
    await eventually(() => expect(told).toEqual([program.id]));
    watch.abort();
    await watching;
  });

  it('keeps each version as it was, and the modules of what it was composed of where a new pipeline names none', async () => {
    const { id } = await register('question: str -> answer: str');
    const first = { steps: [{ type: 'predict', module: id }] };
    const program = await compose({ name: 'Versions', modules: [id], pipelineSpec: first });
    const second = {
      inputs: 'text: str',
      steps: [{ type: 'signature', signature: 'text -> title', input: { text: { $ref: 'input.text' } } }],
    };
    const update = UpdateProgramRequest.fromPartial({ program: program.id, pipelineSpec: second });
    expect(await registry.call(programs.updateProgram, update)).toMatchObject({ latestVersion: 2, modules: [id] });
    expect((await resolve(program.id, 1)).pipeline.steps[0]?.kind).toBe('module');
    expect((await resolve(program.id, 2)).pipeline.steps[0]?.kind).toBe('signature');
    const { versions } = await registry.call(programs.listProgramVersions, {
      program: program.id,
      pageSize: 0,
      pageToken: '',
    });
    expect(versions.map(({ pipelineSpec, modules: ids }) => [pipelineSpec, ids])).toEqual([
      [second, [id]],
      [first, [id]],
    ]);
  });

  it('refuses modules that cannot be executed or were taken out of use', async () => {
    const [mute, gone] = [await register(''), await register('a -> b')];
    await registry.call(modules.deleteModule, { module: gone.id, etag: '', requestId: '', force: false });
    const spec = (module: string) => ({ modules: [mute.id], pipelineSpec: { steps: [{ type: 'predict', module }] } });
    for (const module of [mute.name, gone.name, gone.id]) {
      const error = await refusal(compose(spec(module)));
      expect([error.reason, error.metadata.field]).toEqual(['PIPELINE_INVALID', 'pipeline_spec.steps[0].module']);
    }
    const error = await refusal(compose({ modules: [gone.id], pipelineSpec: { steps: [] } }));
    expect([error.reason, error.metadata.resource]).toEqual(['MODULE_NOT_FOUND', gone.id]);
  });

  it('knows the functions that a file of the operator exports', async () => {
    expect([...(await loadFunctionNames(undefined))]).toEqual(['merge_and_rank', 'value']);
    const write = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const good = write('good.mjs', 'export const by_date = (items) => items;');
    expect(await loadFunctionNames(good)).toContain('by_date');
    const bad = write('bad.mjs', 'export const value = () => 1;');
    await expect(loadFunctionNames(bad)).rejects.toThrow(
      /SIGNET_FUNCTIONS: .*bad\.mjs: the function `value` is Signet's own/,
    );
    await expect(loadFunctionNames(join(folder, 'none.mjs'))).rejects.toThrow(/SIGNET_FUNCTIONS: .*none\.mjs/);
  });

  it('has a program for each signature step: one for each way in which a signature is run', async () => {
    const ensure = (more: { module?: string; lm?: string; instructions?: string } = {}) =>
      registry.call(inner.ensureQuickProgram, {
        ...{ signatureSpec: 'text: str -> title: str', signatureModule: '', adapterType: 1 as const },
        ...{ module: '', lm: '', instructions: '', composed: false, ...more },
      });
    const plain = await ensure();
    expect((await ensure({ module: 'predict' })).programId).toBe(plain.programId);
    const thought = await ensure({ module: 'chain_of_thought', instructions: 'Be short.' });
    expect(thought.configuration).toMatchObject({ module: 'chain_of_thought', instructions: 'Be short.' });
    expect((await ensure({ module: 'chain_of_thought', instructions: 'Be short.' })).programId).toBe(thought.programId);
    expect(thought.programId).not.toBe(plain.programId);
    expect((await refusal(ensure({ module: 'react' }))).reason).toBe('INVALID_REQUEST');
    expect((await refusal(ensure({ lm: 'nobody' }))).reason).toBe('LM_NOT_FOUND');
  });
});
