import { createNoopMeter, type Tracer } from '@opentelemetry/api';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import { parseAddresses } from '@signet/kit/config/env.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { describe, expect } from 'vitest';
import { whyNoPython } from '../../../test/support/python.ts';
import { type PythonSidecar, startPythonSidecar } from '../../../test/support/python-sidecar.ts';
import { type SeenRequest, startScriptedLm } from '../../../test/support/scripted-lm.ts';
import { engineSuite } from '../engine/engine.suite.ts';
import type { Engine, EngineProgram } from '../engine/engine.ts';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import { createLmClient, type LmClient } from '../lm/lm-client.ts';
import { createCompletionReader } from '../sidecar/completion-reader.ts';
import { createPythonEngine } from '../sidecar/python-engine.ts';
import { SidecarPool } from '../sidecar/sidecar-pool.ts';
import { createToolCaller } from '../tool/call-tool.ts';
import { createNativeEngine } from './native-engine.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the native engine is left out, for want of plans: ${missing}`);

/** The engine with the plans that the registry would hand it. */
function withPlans(engine: Engine): Engine {
  const planned = new Map<string, Promise<EngineProgram>>();
  const plan = (program: EngineProgram, ctx: Parameters<Engine['prepare']>[1]): Promise<EngineProgram> => {
    let known = planned.get(program.ref);
    if (known === undefined) {
      known = engine.prepare(program, ctx).then(({ planJson, dialect }) => ({ ...program, planJson, dialect }));
      planned.set(program.ref, known);
    }
    return known;
  };
  return {
    ...engine,
    run: async (program, inputs, inputsJson, ctx) => {
      const within = { signal: new AbortController().signal, deadlineMs: ctx.deadlineMs, trace: ctx.trace };
      return engine.run(await plan(program, within), inputs, inputsJson, ctx);
    },
  };
}

async function openPool(sidecar: PythonSidecar, lm: LmClient, tracer: Tracer): Promise<SidecarPool> {
  const log = createLogger('test', 'silent');
  const tools = createToolCaller({ tracer }, { allowPrivate: true });
  const deps = { lm, tools, tracer, log, internalToken: sidecar.token };
  const pool = new SidecarPool(deps, { addresses: parseAddresses(sidecar.address)! });
  await eventually(() => expect(pool.ready()).toBe(true), 30_000);
  return pool;
}

describe.skipIf(missing !== undefined)('on plans of real DSPy', () => {
  engineSuite('native', async () => {
    const tracer = new TracerProvider({}).getTracer('test');
    const isSlow = ({ body }: SeenRequest): boolean => /\n(?:slow|late)\n/.test(String(body.messages?.at(-1)?.content));
    const lm = await startScriptedLm({ behaviour: (seen) => ({ kind: isSlow(seen) ? 'silence' : 'answer' }) });
    const client = createLmClient({ tracer });
    const sidecar = await startPythonSidecar({ workers: 1 });
    const pool = await openPool(sidecar, client, tracer);
    const compiler = createPythonEngine({ pool, meter: createNoopMeter() });
    const tools = createToolCaller({ tracer }, { allowPrivate: true });
    const reader = createCompletionReader({ pool });
    const engine = createNativeEngine({ lm: client, tools, tracer, compiler, reader });
    return {
      engine: withPlans(engine),
      lm: lmEndpoint({ model: 'openai/x', apiBase: lm.url, apiKey: '', constrained: 'none' }),
      slow: (program) => program,
      async close() {
        await compiler.close();
        await Promise.all([client.close(), tools.close(), lm.close(), sidecar.stop()]);
      },
    };
  });
});
