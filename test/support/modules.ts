import { afterAll, beforeAll } from 'vitest';
import type { HttpAnswer, JsonObject } from './http.ts';
import { demand, QA_SPEC, uniqueName } from './programs.ts';
import { type Stack, startStack } from './stack.ts';

/** A stack on the mock engine, and what tests of modules do over and over. */
export type UsedModules = {
  readonly stack: Stack;
  /** Asks for a module that answers questions, under a name of its own. */
  register(fields?: JsonObject): Promise<HttpAnswer>;
  /** The module, made. */
  registered(fields?: JsonObject): Promise<JsonObject>;
  fire(module: unknown, event: string, more?: JsonObject): Promise<HttpAnswer>;
};

/** Gives a test file one; it stands from before the first test to after the last one. */
export function useModules(): UsedModules {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ engines: 'mock' });
  });
  afterAll(() => stack?.close());
  const register = (fields: JsonObject = {}): Promise<HttpAnswer> => {
    const plain = { type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: QA_SPEC };
    return stack.http.post('/v1/modules', { name: uniqueName('module'), ...plain, ...fields });
  };
  return {
    get stack() {
      return stack;
    },
    register,
    registered: async (fields) => demand(await register(fields), 201),
    fire: (module, event, more = {}) => stack.http.post(`/v1/modules/${module}:fire`, { event, ...more }),
  };
}

/** The fields that a refusal is about. */
export function violated(answer: HttpAnswer): string[] {
  return ((answer.body.violations ?? []) as JsonObject[]).map(({ field }) => String(field));
}
