import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { AdapterType } from '@signet/proto/gen/signet/v1/common.ts';
import { ModuleImplementation, RoutingStrategy } from '@signet/proto/gen/signet/v1/module.ts';
import { ProgramStatus } from '@signet/proto/gen/signet/v1/program.ts';
import { RuntimeServiceService as runtime } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import type { Engine } from '../engine/engine.ts';
import { createMockEngine } from '../engine/mock.ts';
import { callerContext, startTestExecutor, type TestExecutor } from '../test-support/executor.ts';

const named = (name: 'python' | 'native', more: Partial<Engine> = {}): Engine => ({
  ...createMockEngine(),
  name,
  ...more,
});

describe('the program behind a hybrid module', () => {
  let database: TestDatabase;
  let executor: TestExecutor;
  let declines = '';
  beforeAll(async () => {
    database = await createTestDatabase(['executor']);
    const native = named('native', {
      prepare: async () => {
        if (declines !== '') throw new AppError('MODULE_INVALID', declines);
        return { dspyProgramId: 'native', dialect: {}, planJson: '', nativeFault: '' };
      },
    });
    executor = await startTestExecutor(database.url, { parts: { engines: [named('python'), native] } });
  });
  afterAll(async () => {
    await executor?.close();
    await database?.drop();
  });

  const initialize = (slug: string, implementation: ModuleImplementation) => {
    executor.registry.put({
      slug,
      spec: 'q: str -> a: str',
      adapterType: AdapterType.ADAPTER_TYPE_PYTHON_PORT,
      status: ProgramStatus.PROGRAM_STATUS_DRAFT,
    });
    const routingStrategy = RoutingStrategy.ROUTING_STRATEGY_NATIVE_FIRST;
    const moduleSettings = { id: newId(), name: slug, implementation, routingStrategy, cacheTtlS: 300n };
    executor.registry.change(slug, { moduleSettings });
    return executor.peer.unary(runtime.initializeProgram, { program: slug, requestId: '' }, callerContext());
  };

  it('HDL-03 is ready when both engines can serve it', async () => {
    declines = '';
    const made = await initialize('both', ModuleImplementation.MODULE_IMPLEMENTATION_HYBRID);
    expect(made.status).toBe(ProgramStatus.PROGRAM_STATUS_READY);
  });

  it('HDL-03 is ready on neither when one declines, and says which and why', async () => {
    declines = 'a type that no plan expresses';
    const made = await initialize('neither', ModuleImplementation.MODULE_IMPLEMENTATION_HYBRID);
    expect(made).toMatchObject({
      status: ProgramStatus.PROGRAM_STATUS_ERROR,
      errorMessage: 'The native engine declined: a type that no plan expresses',
    });
  });

  it('asks the native engine nothing where a module is Python alone', async () => {
    declines = 'never asked';
    const made = await initialize('python-alone', ModuleImplementation.MODULE_IMPLEMENTATION_PYTHON);
    expect(made.status).toBe(ProgramStatus.PROGRAM_STATUS_READY);
  });
});
