import type { ExecutorConfig } from './config.ts';
import type { Engines } from './engine/choose-engine.ts';
import type { Engine, EngineName } from './engine/engine.ts';
import { createMockEngine } from './engine/mock.ts';
import { createNativeEngine } from './native/native-engine.ts';
import type { Ground } from './open-ground.ts';
import { createCompletionReader } from './sidecar/completion-reader.ts';
import { createPythonEngine } from './sidecar/python-engine.ts';
import { SidecarPool } from './sidecar/sidecar-pool.ts';
import { createToolCaller } from './tool/call-tool.ts';

type EngineGround = Pick<Ground, 'log' | 'telemetry' | 'lmClient'>;

/** The engines, and what else their workers are good for. */
export type Workers = ReturnType<typeof makeEngines>;

/** Makes the engines, or takes those given, with what else their workers are good for. */
export function makeEngines(
  config: ExecutorConfig,
  given: readonly Engine[] | undefined,
  { log, telemetry, lmClient }: EngineGround,
) {
  if (given !== undefined) {
    const engines: Engines = new Map(given.map((engine) => [engine.name, engine]));
    const closeEngines = async () => void (await Promise.all(given.map((engine) => engine.close())));
    return { engines, closeEngines, source: undefined, reading: {}, optimizing: undefined };
  }
  const tools = createToolCaller({ tracer: telemetry.tracer }, { allowPrivate: config.toolsAllowPrivate });
  const pool = new SidecarPool(
    { lm: lmClient, tools, tracer: telemetry.tracer, log, internalToken: config.internalToken },
    { addresses: config.sidecarAddresses },
  );
  const python = createPythonEngine({ pool, meter: telemetry.meter });
  const reader = createCompletionReader({ pool });
  const { tracer } = telemetry;
  const native = createNativeEngine({ lm: lmClient, tools, tracer, compiler: python, reader });
  const engines: Engines = new Map<EngineName, Engine>([
    ['python', python],
    ['native', native],
    ['mock', createMockEngine()],
  ]);
  const closeEngines = async (): Promise<void> => {
    await python.close();
    await tools.close();
  };
  return { engines, closeEngines, source: pool, reading: { reader }, optimizing: { host: pool.optimizers(), tools } };
}
