import { eventually } from '@signet/kit/testing/eventually.ts';
import { ModuleType as Type } from '@signet/proto/gen/signet/v1/module.ts';
import { ModuleServiceService as modules, RegisterModuleRequest } from '@signet/proto/gen/signet/v1/module_service.ts';
import {
  ComposeProgramRequest,
  ProgramServiceService as programs,
  UpdateProgramRequest,
} from '@signet/proto/gen/signet/v1/program_service.ts';
import { describe, expect, it } from 'vitest';
import { refusal } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry();
let count = 0;

const register = async (): Promise<string> => {
  const fields = { type: Type.MODULE_TYPE_PREDICT, pythonModule: 'dspy.Predict', signatureSpec: 'x -> y' };
  const request = RegisterModuleRequest.fromPartial({ name: `part_${++count}`, ...fields });
  return (await registry.call(modules.registerModule, request)).name;
};
const step = (module: string) => ({ type: 'module', module, input: { x: { $ref: 'input.x' } } });
const specOf = (...parts: string[]) => ({
  inputs: 'x: str',
  steps: parts.map((part, at) => ({ id: `s${at}`, ...step(part) })),
});
const compose = (slug: string, ...parts: string[]) =>
  registry.call(
    programs.composeProgram,
    ComposeProgramRequest.fromPartial({ slug, modules: [parts[0]!], pipelineSpec: specOf(...parts) }),
  );
const remove = (module: string, force = false) =>
  registry.call(modules.deleteModule, { module, etag: '', requestId: '', force });

describe('deleting a module', () => {
  it('is refused while a program is composed of it, which deleting or archiving the program ends', async () => {
    const module = await register();
    await compose('deleted-later', module);
    await compose('archived-later', module);
    const refused = await refusal(remove(module));
    expect(refused).toMatchObject({
      reason: 'STATE_FORBIDS',
      metadata: { state: 'in_use', event: 'delete', resource: module },
    });
    expect(refused.message).toContain('program `archived-later`, program `deleted-later`;');
    const named = { etag: '', requestId: '' };
    await registry.call(programs.deleteProgram, { ...named, program: 'deleted-later', force: false });
    expect((await refusal(remove(module))).message).toContain('program `archived-later`;');
    await registry.call(programs.archiveProgram, { ...named, program: 'archived-later' });
    await remove(module);
    expect((await refusal(remove(module))).reason).toBe('MODULE_NOT_FOUND');
  });

  it('is refused for what an earlier version, a helper of a step or the list of modules names, and by its first programs', async () => {
    const [first, second, helper, listed] = [await register(), await register(), await register(), await register()];
    const { id } = await compose('moves-on', first);
    const pipelineSpec = {
      inputs: 'x: str',
      steps: [{ id: 'a', ...step(second), compensate: { id: 'b', ...step(helper) } }],
    };
    await registry.call(programs.updateProgram, UpdateProgramRequest.fromPartial({ program: id, pipelineSpec }));
    for (const module of [first, second, helper]) expect((await refusal(remove(module))).message).toContain('moves-on');
    for (const slug of ['d', 'c', 'b', 'a']) await compose(`many-${slug}`, listed, second);
    expect((await refusal(remove(listed))).message).toContain(
      'program `many-a`, program `many-b`, program `many-c` and others; ',
    );
  });

  it('is done anyway where it is forced, and its name is free then', async () => {
    const module = await register();
    await compose('left-alone', module);
    await remove(module, true);
    expect((await refusal(compose('too-late', module))).reason).toBe('MODULE_NOT_FOUND');
  });

  it('and composing of it at the same moment never both succeed', async () => {
    const [module, other] = [await register(), await register()];
    const seen = await registry.call(modules.getModule, { module: other, includeBackend: false });
    await registry.sql.query('begin');
    await registry.sql.query('select 1 from registry.modules where name = $1 for update', [other]);
    await registry.sql.query('update registry.modules set delete_time = now() where name = $1', [other]);
    const composing = refusal(compose('in-between', module, other));
    await eventually(async () => {
      const { rows } = await registry.sql.query(
        `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      );
      expect(rows).toHaveLength(1);
    });
    await registry.sql.query('commit');
    expect(await composing).toMatchObject({ reason: 'MODULE_NOT_FOUND', metadata: { resource: seen.id } });
  });
});
