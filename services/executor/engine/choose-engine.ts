import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import type { Engine, EngineName } from './engine.ts';

/** Which engines may serve a program. */
export type AdapterType = 'python_port' | 'native' | 'mock';

/** The engines of this process; one that does not exist yet is absent. */
export type Engines = ReadonlyMap<EngineName, Engine>;

const allowed: Readonly<Record<AdapterType, readonly EngineName[]>> = {
  python_port: ['python', 'native'],
  native: ['native'],
  mock: ['mock'],
};

/** The engine by which a call is served: the one asked for, if the adapter type allows it, else the adapter type's first. */
export function chooseEngine(adapterType: AdapterType, asked: EngineName | undefined): EngineName {
  const names = allowed[adapterType];
  if (asked === undefined) return names[0]!;
  if (names.includes(asked)) return asked;
  throw invalidField(
    'execution_options.engine',
    `the adapter type ${adapterType} allows ${names.join(' and ')} only`,
    'ENGINE_FORBIDDEN',
  );
}

/** The engine of a name; ENGINE_UNAVAILABLE if it does not exist yet. */
export function requireEngine(engines: Engines, name: EngineName): Engine {
  const engine = engines.get(name);
  if (engine !== undefined) return engine;
  throw new AppError('ENGINE_UNAVAILABLE', `The ${name} engine is not available yet`, { metadata: { engine: name } });
}
