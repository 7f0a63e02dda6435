import { AppError } from '@signet/kit/error/app-error.ts';
import type { PipelineFunction } from '@signet/pipeline/functions.ts';
import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { Engine, EngineName } from '../engine/engine.ts';
import { runAction } from './actions.ts';

/** Runs a function; `isWrapped` says that its argument was no object and stands under `input`. */
export function functionEngine(
  functions: ReadonlyMap<string, PipelineFunction>,
  name: string,
  isWrapped: boolean,
): Engine {
  return engineOf('native', async (inputs) => {
    const call = functions.get(name);
    if (call === undefined) {
      throw new AppError('MODULE_INVALID', `There is no function \`${name}\` here`, { metadata: { function: name } });
    }
    try {
      return call(isWrapped ? (inputs.get('input') ?? null) : inputs);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new AppError('MODULE_FAILED', `The function \`${name}\` failed: ${text}`, { category: 'module' });
    }
  });
}

/** Runs an action, such as `signature.parse`. */
export function actionEngine(name: string): Engine {
  return engineOf('native', async (inputs) => runAction(name, inputs));
}

/** Calls a Python name in a worker of the sidecar, with the inputs as its keywords. */
export function pythonEngine(python: Engine): Engine {
  return {
    name: python.name,
    ready: () => python.ready(),
    prepare: (program, ctx) => python.prepare(program, ctx),
    run(program, inputs, _inputsJson, ctx) {
      const wrapped = new Map([['arguments', inputs]]);
      return python.run(program, wrapped, writeJson(wrapped), ctx);
    },
    close: async () => {},
  };
}

/** Stands for a Python name in a mock program: nothing is called, and it finds nothing. */
export function mockedEngine(): Engine {
  return engineOf('mock', async () => []);
}

function engineOf(name: EngineName, call: (inputs: JsonObject) => Promise<JsonValue>): Engine {
  return {
    name,
    ready: () => true,
    prepare: async () => ({ dspyProgramId: 'step', dialect: {}, planJson: '', nativeFault: '' }),
    async run(_program, inputs) {
      const outputsJson = writeJson(new Map([['result', await call(inputs)]]));
      return { outputsJson, lmCalls: 0, tokensIn: 0, tokensOut: 0, queueMs: 0, worker: '' };
    },
    close: async () => {},
  };
}
