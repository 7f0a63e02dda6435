import { AppError } from '@signet/kit/error/app-error.ts';
import type { Reason } from '@signet/kit/error/reasons.ts';
import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ResolvedModule } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { ModuleImplementation, ModuleState, RoutingStrategy } from '@signet/proto/gen/signet/v1/module.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { Modules } from '../catalog/modules.ts';
import { prepareHybridModules } from './prepare-modules.ts';

const told = (state: ModuleState, revision: bigint): ResolvedModule =>
  ResolvedModule.fromPartial({
    settings: {
      id: newId(),
      name: 'hybrid',
      implementation: ModuleImplementation.MODULE_IMPLEMENTATION_HYBRID,
      routingStrategy: RoutingStrategy.ROUTING_STRATEGY_NATIVE_FIRST,
      cacheTtlS: 300n,
    },
    state,
    executable: true,
    revision,
  });

describe('hybrid modules that were registered', () => {
  const closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  /** An executor whose registry answers with these reasons, one a call, the last one for ever. */
  const start = (...reasons: Reason[]) => {
    const asked: string[] = [];
    const registry = {
      ensureModuleProgram: (id: string) => {
        asked.push(id);
        const reason = reasons.length > 1 ? reasons.shift() : reasons[0];
        return Promise.reject(new AppError(reason ?? 'INTERNAL', 'not now'));
      },
    };
    const modules = new Modules({ registry: registry as never });
    const deps = { registry, modules, log: createLogger('test', 'silent') };
    const preparing = prepareHybridModules(deps as never);
    closing.push(() => preparing.close());
    return { asked, modules };
  };

  it('HDL-03 are prepared once the registry that was away is there again', async () => {
    const { asked, modules } = start('SERVICE_UNAVAILABLE', 'DATABASE_UNAVAILABLE', 'STATE_FORBIDS');
    const module = told(ModuleState.MODULE_STATE_UNINITIALIZED, 7n);
    modules.apply(module);
    await eventually(() => expect(asked).toEqual(Array(3).fill(module.settings?.id)));
  });

  it('are left alone as soon as the registry tells of a later state', async () => {
    const { asked, modules } = start('SERVICE_UNAVAILABLE', 'INTERNAL');
    const module = told(ModuleState.MODULE_STATE_UNINITIALIZED, 7n);
    modules.apply(module);
    modules.apply({ ...module, state: ModuleState.MODULE_STATE_READY, revision: 8n });
    // Another one that is tried twice tells that the first one's turn has come and gone.
    const other = start('SERVICE_UNAVAILABLE', 'SERVICE_UNAVAILABLE', 'STATE_FORBIDS');
    other.modules.apply(told(ModuleState.MODULE_STATE_UNINITIALIZED, 1n));
    await eventually(() => expect(other.asked).toHaveLength(3));
    expect(asked).toHaveLength(1);
  });
});
