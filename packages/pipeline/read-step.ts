import { isObject, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import type { Draft, Role } from './draft.ts';
import { at, type Faults, shown } from './fault.ts';
import { Keys } from './keys.ts';
import type { Known } from './known.ts';
import { type Binding, pipelineLimits, type StepKind, stepKinds } from './pipeline.ts';
import { readBinding, readExpression } from './read-binding.ts';
import { bodyKeys, readBody } from './step-body.ts';

/** What reading the steps of one spec shares. */
export type ReadContext = {
  readonly known: Known;
  readonly faults: Faults;
  /** Where each id stands. */
  readonly ids: Map<string, string>;
  /** Ids that the spec says somewhere: none of them is made up for a step without one. */
  readonly stated: ReadonlySet<string>;
};

const commonKeys = ['id', 'type', 'needs', 'when', 'timeout_ms', 'retries', 'on_error', 'compensate', 'undo'];
const inputKeys = ['input', 'inputs'];
const idForm = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;
// What an expression could not say, and what an object has without being given it.
const reservedIds = new Set(['in', 'true', 'false', 'null', 'input', 'steps', 'error', 'return', 'constructor']);
const moduleTypes = ['predict', 'retrieve', 'optimize', 'custom'];

/** Reads a list of steps. Those that are no steps at all are left out. */
export function readSteps(
  context: ReadContext,
  steps: readonly JsonValue[],
  path: string,
  role: Role,
  depth: number,
): Draft[] {
  return steps.flatMap((step, index) => {
    const draft = readStep(context, step, at(path, index), role, depth);
    return draft === undefined ? [] : [draft];
  });
}

/** Reads one step; nothing if it is no object, or of a kind that nobody knows. */
export function readStep(
  context: ReadContext,
  given: JsonValue,
  path: string,
  role: Role,
  depth: number,
): Draft | undefined {
  const { faults } = context;
  if (!isObject(given)) {
    faults.add(path, 'INVALID', 'a step must be an object');
    return undefined;
  }
  const keys = new Keys(given, path, faults);
  const kind = readKind(keys, faults);
  const id = readId(context, keys, kind, role);
  if (kind === undefined) return undefined;
  const { body, fields } = readBody({ context, keys, kind, type: keys.text('type') ?? '', depth });
  const input = readInput(keys, body.kind, faults);
  const isHelper = role === 'compensate' || role === 'undo';
  if (isHelper) refuseForHelpers(keys, role, faults);
  return {
    path,
    id,
    body,
    fields,
    input,
    inputKey: keys.has('inputs') && !keys.has('input') ? 'inputs' : 'input',
    isChained: body.kind === 'group' ? body.steps.some((step) => step.isChained) : input === undefined,
    parameters: readParameters(keys, body.kind, faults),
    statedNeeds: isHelper ? undefined : readNeeds(keys, faults),
    needs: [],
    when: isHelper ? undefined : readCondition(keys, faults),
    timeoutMs: keys.whole('timeout_ms', 1, pipelineLimits.timeoutMsMax),
    retries: keys.whole('retries', 0, pipelineLimits.retriesMax) ?? 0,
    ...(isHelper ? noHelpers : readHelpers(context, keys, id, depth)),
  };
}

const noHelpers = { onError: 'fail', compensate: undefined, compensatedBy: undefined, undo: undefined } as const;

function readKind(keys: Keys, faults: Faults): StepKind | undefined {
  keys.demand('type', `one of ${[...stepKinds, ...moduleTypes].join(', ')}`);
  const type = keys.text('type');
  if (type === undefined) return undefined;
  // The types of modules name steps that execute one.
  if (moduleTypes.includes(type)) return 'module';
  const kind = stepKinds.find((name) => name === type);
  if (kind === undefined) {
    const known = [...stepKinds, ...moduleTypes].join(', ');
    faults.add(at(keys.path, 'type'), 'INVALID', `\`${shown(type)}\` is no type of a step; there are ${known}`);
  }
  return kind;
}

function readId(context: ReadContext, keys: Keys, kind: StepKind | undefined, role: Role): string {
  const { ids, faults } = context;
  const stated = keys.text('id');
  if (stated === undefined) return freeId(context, keys, kind, role);
  const path = at(keys.path, 'id');
  if (!idForm.test(stated)) faults.add(path, 'INVALID', 'must match ^[A-Za-z][A-Za-z0-9_]{0,63}$');
  else if (reservedIds.has(stated)) faults.add(path, 'INVALID', `\`${stated}\` is reserved`);
  const taken = ids.get(stated);
  if (taken !== undefined) faults.add(path, 'DUPLICATE', `\`${shown(stated)}\` is the id of ${taken} already`);
  else ids.set(stated, keys.path);
  return stated;
}

/** A step that nobody named is called after what it runs. */
function freeId({ ids, stated }: ReadContext, keys: Keys, kind: StepKind | undefined, role: Role): string {
  const named = ['module', 'function', 'action', 'name', 'type'].map((key) => keys.object.get(key));
  const word = named.find((value) => typeof value === 'string' && value !== '') ?? kind ?? 'step';
  const plain = String(word)
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/^[^A-Za-z]+|_+$/g, '')
    .slice(0, 40);
  const base = (idForm.test(plain) && !reservedIds.has(plain) ? plain : 'step') + (role === 'undo' ? '_undo' : '');
  let id = base;
  for (let next = 2; ids.has(id) || stated.has(id); next++) id = `${base}_${next}`;
  ids.set(id, keys.path);
  return id;
}

function readInput(keys: Keys, kind: StepKind, faults: Faults): Binding | undefined {
  if (kind === 'group') return undefined;
  const [given, ...others] = inputKeys.filter((key) => keys.has(key));
  if (others.length > 0) faults.add(at(keys.path, 'inputs'), 'DUPLICATE', 'give `input` alone');
  return given === undefined ? undefined : readBinding(keys.object.get(given) ?? null, at(keys.path, given), faults);
}

function readParameters(keys: Keys, kind: StepKind, faults: Faults): ReadonlyMap<string, JsonValue> {
  const own = [...commonKeys, ...bodyKeys[kind]];
  if (kind === 'group' || kind === 'action') {
    keys.only(kind === 'group' ? own : [...own, ...inputKeys]);
    return new Map();
  }
  const parameters = [...keys.object].filter(([key]) => !own.includes(key) && !inputKeys.includes(key));
  return new Map(parameters.filter(([key]) => readsAsParameter(key, keys, faults)));
}

function readsAsParameter(key: string, keys: Keys, faults: Faults): boolean {
  if (/^[\p{XID_Start}_]\p{XID_Continue}{0,127}$/u.test(key)) return true;
  faults.add(at(keys.path, key), 'FIELD_UNKNOWN', `\`${shown(key)}\` is no name of a parameter`);
  return false;
}

function readNeeds(keys: Keys, faults: Faults): string[] | undefined {
  return keys.list('needs')?.flatMap((need, index) => {
    if (typeof need === 'string') return [need];
    faults.add(at(at(keys.path, 'needs'), index), 'INVALID', 'must be the id of a step');
    return [];
  });
}

function readCondition(keys: Keys, faults: Faults): Binding | undefined {
  if (!keys.has('when')) return undefined;
  const path = at(keys.path, 'when');
  const given = keys.object.get('when') ?? null;
  const before = faults.count;
  const condition = typeof given === 'string' ? readExpression(given, path, faults) : readBinding(given, path, faults);
  if (condition.kind === 'cel' || condition.kind === 'ref' || faults.count > before) return condition;
  if (condition.kind === 'literal' && condition.value === true) return undefined;
  if (condition.kind === 'literal' && condition.value === false) {
    faults.add(path, 'UNREACHABLE', 'the step can never run');
  } else faults.add(path, 'INVALID', 'must be a CEL expression or a reference');
  return condition;
}

function readHelpers(
  context: ReadContext,
  keys: Keys,
  id: string,
  depth: number,
): Pick<Draft, 'onError' | 'compensate' | 'compensatedBy' | 'undo'> {
  const { faults } = context;
  const stated = keys.word('on_error', ['fail', 'skip', 'compensate']);
  const given = keys.object.get('compensate') ?? null;
  const compensatedBy = typeof given === 'string' ? given : undefined;
  const helper = (key: 'compensate' | 'undo', value: JsonValue): Draft | undefined =>
    readStep(context, named(value, `${id}_${key}`, context), at(keys.path, key), key, depth);
  const compensate = given === null || compensatedBy !== undefined ? undefined : helper('compensate', given);
  const path = at(keys.path, 'on_error');
  if (given === null && stated === 'compensate') faults.add(path, 'REQUIRED', '`compensate` is missing');
  if (given !== null && stated !== undefined && stated !== 'compensate') {
    faults.add(path, 'INVALID', 'must be compensate where there is a `compensate`');
  }
  const undo = keys.object.get('undo') ?? null;
  return {
    onError: given === null ? (stated ?? 'fail') : 'compensate',
    compensate,
    compensatedBy,
    undo: undo === null ? undefined : helper('undo', undo),
  };
}

/** A helper that nobody named is called after the step that it helps. */
function named(value: JsonValue, id: string, { ids, stated }: ReadContext): JsonValue {
  if (!isObject(value) || value.has('id') || !idForm.test(id) || ids.has(id) || stated.has(id)) return value;
  return new Map([['id', id], ...value]) satisfies JsonObject;
}

function refuseForHelpers(keys: Keys, role: Role, faults: Faults): void {
  for (const key of ['needs', 'when', 'on_error', 'compensate', 'undo']) {
    if (keys.has(key)) {
      faults.add(at(keys.path, key), 'INVALID', `a step that stands under \`${role}\` has none of this`);
    }
  }
}
