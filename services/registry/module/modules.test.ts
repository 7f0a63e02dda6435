import { eventually } from '@signet/kit/testing/eventually.ts';
import type { ResolvedModule } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import {
  ModuleImplementation as Implementation,
  ModuleState as State,
  ModuleType as Type,
} from '@signet/proto/gen/signet/v1/module.ts';
import {
  type DeepPartial,
  FireModuleEventRequest,
  ListModulesRequest,
  ModuleServiceService as modules,
  RegisterModuleRequest,
  UpdateModuleRequest,
} from '@signet/proto/gen/signet/v1/module_service.ts';
import { describe, expect, it } from 'vitest';
import { inner, refusal } from '../test-support/registry.ts';
import { useTestRegistry } from '../test-support/use-registry.ts';

const registry = useTestRegistry();
let count = 0;

const register = (fields: DeepPartial<RegisterModuleRequest> = {}) =>
  registry.call(
    modules.registerModule,
    RegisterModuleRequest.fromPartial({
      name: `module_${++count}`,
      type: Type.MODULE_TYPE_PREDICT,
      pythonModule: 'dspy.Predict',
      signatureSpec: 'question: str -> answer: str',
      ...fields,
    }),
  );
const get = (module: string, includeBackend = false) => registry.call(modules.getModule, { module, includeBackend });
const ensure = (module: string, mock = false) => registry.call(inner.ensureModuleProgram, { module, mock });
const hybrid = {
  implementation: Implementation.MODULE_IMPLEMENTATION_HYBRID,
  nativeModule: 'native.predict',
} as const;
const outcome = (errorMessage: string) =>
  ({
    state: errorMessage === '' ? 2 : 3,
    dspyProgramId: errorMessage === '' ? 'prepared' : '',
    errorMessage,
    dialect: {},
    createTime: undefined,
    promptPlan: undefined,
    nativeFault: '',
  }) as const;

async function prepare(module: string, errorMessage = '') {
  const { programId } = await ensure(module);
  const { fencingToken } = await registry.call(inner.beginInitialize, { program: programId });
  const during = (await get(module)).state;
  const preparation = outcome(errorMessage);
  await registry.call(inner.finishInitialize, { programId, fencingToken, version: 1, preparation });
  return { programId, during };
}

describe('modules in the registry', () => {
  it('MOD-02 reach those who watch the catalog within a second', async () => {
    const controller = new AbortController();
    const seen = new Map<string, { module: ResolvedModule; atMs: number }>();
    const watching = (async () => {
      for await (const { change } of registry.watch(0n, controller.signal)) {
        if (change?.$case !== 'module') continue;
        seen.set(change.value.settings?.name ?? '', { module: change.value, atMs: performance.now() });
      }
    })().catch(() => undefined);
    const begunMs = performance.now();
    const { name } = await register();
    const first = await eventually(() => seen.get(name) ?? Promise.reject(new Error('not told yet')));
    expect(first.atMs - begunMs).toBeLessThan(1000);
    expect(first.module).toMatchObject({ executable: true, deleted: false, settings: { cacheTtlS: 300n } });
    const change = UpdateModuleRequest.fromPartial({ module: name, routingStrategy: 1, cacheTtl: 5n });
    await registry.call(modules.updateModule, change);
    await eventually(() =>
      expect(seen.get(name)?.module.settings).toMatchObject({ routingStrategy: 1, cacheTtlS: 5n }),
    );
    await registry.call(modules.deleteModule, { module: name, etag: '', requestId: '', force: false });
    await eventually(() => expect(seen.get(name)?.module.deleted).toBe(true));
    controller.abort();
    await watching;
  });

  it('HDL-03 follow the program behind them: READY once it is prepared, ERROR once it cannot be', async () => {
    const good = await register(hybrid);
    expect((await prepare(good.name)).during).toBe(State.MODULE_STATE_INITIALIZING);
    expect((await get(good.name)).state).toBe(State.MODULE_STATE_READY);
    const bad = await register(hybrid);
    const { programId } = await prepare(bad.name, 'The native engine declined: no plan');
    expect(await get(bad.name)).toMatchObject({
      state: State.MODULE_STATE_ERROR,
      errorMessage: 'The native engine declined: no plan',
    });
    await registry.call(modules.fireModuleEvent, FireModuleEventRequest.fromPartial({ module: bad.name, event: 6 }));
    expect((await get(bad.name)).state).toBe(State.MODULE_STATE_UNINITIALIZED);
    expect((await ensure(bad.name)).programId).toBe(programId);
    expect((await prepare(bad.name)).programId).toBe(programId);
    expect((await get(bad.name)).state).toBe(State.MODULE_STATE_READY);
  });

  it('HDL-03 settles what an executor left half way as ERROR', async () => {
    const { name } = await register(hybrid);
    const { programId } = await ensure(name);
    await registry.call(inner.beginInitialize, { program: programId });
    await registry.sql.query(`update registry.programs set transition_until = now() - interval '1 s' where id = $1`, [
      programId,
    ]);
    await eventually(async () => {
      expect(await get(name)).toMatchObject({
        state: State.MODULE_STATE_ERROR,
        errorMessage: 'initialization was interrupted',
      });
    }, 15_000);
  }, 20_000);

  it('have one program a generation, however many ask at once while it is being prepared', async () => {
    const { name } = await register();
    const all = await Promise.all([
      ...Array.from({ length: 10 }, () => ensure(name)),
      prepare(name).then(({ programId }) => ({ programId })),
      ...Array.from({ length: 10 }, () => ensure(name)),
    ]);
    expect(new Set(all.map(({ programId }) => programId)).size).toBe(1);
    const change = UpdateModuleRequest.fromPartial({ module: name, pythonModule: 'dspy.ChainOfThought' });
    expect((await registry.call(modules.updateModule, change)).state).toBe(State.MODULE_STATE_UNINITIALIZED);
    const next = await ensure(name);
    expect(next.programId).not.toBe(all[0]?.programId);
    expect(next.configuration?.module).toBe('chain_of_thought');
    const former = await registry.call(inner.resolveProgram, { program: all[0]?.programId ?? '', version: 0 });
    expect(former.status).toBe(6);
  });

  it('have a program on the mock engine that moves nothing', async () => {
    const { name } = await register();
    const { programId, adapterType } = await ensure(name, true);
    expect(adapterType).toBe(3);
    await registry.call(inner.beginInitialize, { program: programId });
    expect((await get(name)).state).toBe(State.MODULE_STATE_UNINITIALIZED);
  });

  it('refuse a program where there is no signature', async () => {
    const { name } = await register({ signatureSpec: '' });
    expect((await refusal(ensure(name))).reason).toBe('MODULE_INVALID');
    expect((await refusal(ensure('nobody'))).reason).toBe('MODULE_NOT_FOUND');
  });

  it('HDL-04 are merged with what executors report; old reports count for nothing', async () => {
    const { id, name } = await register();
    const held = { id, name, pythonClass: '', held: true, running: 2, error: '' };
    const guest = { id: '', name: 'Shop.Guest', pythonClass: 'Shop.Guest', held: true, running: 0, error: '' };
    const report = (executor: string, list: (typeof held)[], workers = 1) =>
      registry.call(inner.reportBackend, { executor, workers, modules: list });
    await report('one', [held, guest]);
    await report('two', [{ ...held, held: false, running: 1, error: 'no worker' }, guest]);
    await prepare(name);
    expect(await get(name, true)).toMatchObject({
      state: State.MODULE_STATE_EXECUTING,
      backend: { held: true, registered: true, running: 3, error: '' },
    });
    const list = (fields = {}) =>
      registry.call(modules.listModules, ListModulesRequest.fromPartial({ includeBackend: true, ...fields }));
    const merged = await list({ filter: `name = "Shop.Guest" OR id = "${id}"`, orderBy: 'name' });
    expect(merged.modules.map((module) => module.name)).toEqual(['Shop.Guest', name]);
    expect(merged.backend).toMatchObject({ available: true, partial: false, workers: 2, executors: 2 });
    expect((await list({ includeBackend: false })).modules.map((module) => module.name)).not.toContain('Shop.Guest');
    await registry.sql.query(`update registry.backend_reports set report_time = now() - interval '11 s'`);
    expect(await get(name, true)).toMatchObject({ state: State.MODULE_STATE_READY, backend: { held: false } });
    const alone = await list();
    expect(alone.backend).toMatchObject({ available: false, partial: true, executors: 0 });
    expect(alone.modules.map((module) => module.name)).not.toContain('Shop.Guest');
  });

  it('HDL-06 take a report for what it is: texts are cleaned, what is no report is refused', async () => {
    const bad = {
      id: 'x\u0000',
      name: 'a\ud800',
      pythonClass: 'Bad\u0000',
      held: true,
      running: -5,
      error: 'x'.repeat(9000),
    };
    await registry.call(inner.reportBackend, { executor: 'dirty', workers: 1, modules: [bad] });
    const { rows } = await registry.sql.query(`select modules from registry.backend_reports where executor = 'dirty'`);
    expect(rows[0].modules[0]).toMatchObject({ id: '', running: 0 });
    expect(rows[0].modules[0].error).toHaveLength(2000);
    await registry.sql.query(
      `update registry.backend_reports set modules = '[7, {"name": 1}]' where executor = 'dirty'`,
    );
    await registry.call(modules.listModules, ListModulesRequest.fromPartial({ includeBackend: true }));
    const refused = registry.call(inner.reportBackend, { executor: '', workers: -1, modules: [] });
    expect((await refusal(refused)).fieldViolations.map(({ field }) => field)).toEqual(['executor', 'workers']);
  });
});
