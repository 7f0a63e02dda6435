import { isArray, isObject, type JsonObject, type JsonValue } from '@signet/signature/json.ts';

/** Every object that stands where a step does, at any depth; `max` of them at most. */
function* stepsIn(spec: JsonValue, max: number): Generator<JsonObject> {
  const waiting: JsonValue[] = listed(spec);
  for (let index = 0; index < waiting.length && index < max; index++) {
    const step = waiting[index]!;
    if (!isObject(step)) continue;
    yield step;
    for (const inner of listed(step)) waiting.push(inner);
    for (const key of ['compensate', 'undo']) if (isObject(step.get(key) ?? null)) waiting.push(step.get(key)!);
  }
}

function listed(value: JsonValue): JsonValue[] {
  const steps = isObject(value) ? (value.get('steps') ?? null) : null;
  return isArray(steps) ? [...steps] : [];
}

/** How many steps a spec has in all, counted up to `max`. */
export function countSteps(spec: JsonValue, max: number): number {
  let count = 0;
  for (const _ of stepsIn(spec, max)) count++;
  return count;
}

/** The ids that steps of a spec have of their own. */
export function statedIds(spec: JsonValue): Set<string> {
  return new Set(textsOf(spec, ['id']));
}

/** What a spec may mean as names, to be looked up before it is read; each once, in the order in which they are met. */
export function namesIn(spec: JsonValue): Record<'modules' | 'signatures' | 'languageModels', string[]> {
  return {
    modules: [...new Set(textsOf(spec, ['module', 'name']))],
    signatures: [...new Set(textsOf(spec, ['signature']))].filter((text) => !text.includes('->')),
    languageModels: [...new Set(textsOf(spec, ['lm']))],
  };
}

const namesMax = 2000;

function textsOf(spec: JsonValue, keys: readonly string[]): string[] {
  const texts: string[] = [];
  for (const step of stepsIn(spec, namesMax)) {
    for (const key of keys) {
      const text = step.get(key);
      if (typeof text === 'string' && text !== '' && text.length <= 300) texts.push(text);
    }
  }
  return texts;
}
