import {
  type Check,
  type CheckMode,
  checkFloat,
  checkLaxText,
  checkProbability,
  checkText,
  compileLiteral,
  mismatch,
  readBoolean,
  readInteger,
  refuseText,
} from './check-scalar.ts';
import { checkTensor } from './check-tensor.ts';
import {
  describeJson,
  isArray,
  isObject,
  isStorableText,
  JsonNumber,
  type JsonObject,
  type JsonValue,
} from './json.ts';
import { integralText } from './number.ts';
import { printType } from './print.ts';
import type { Type } from './types.ts';
import { isSettled, type Run, refuse } from './violation.ts';

/** Makes the check of a type; the work that depends on the type alone is done here, once. */
export function compileType(type: Type, mode: CheckMode): Check {
  switch (type.kind) {
    case 'str':
      return mode === 'lax' ? checkLaxText : checkText;
    case 'int':
      return (value, run) => readInteger(value, mode) ?? mismatch(run, 'int', value);
    case 'float':
      return (value, run) => checkFloat(value, run, mode, 'float');
    case 'probability':
      return (value, run) => checkProbability(value, run, mode);
    case 'bool':
      return (value, run) => readBoolean(value, mode) ?? mismatch(run, 'bool', value);
    case 'any':
      return checkAny;
    case 'none':
      return (value, run) => (value === null ? null : mismatch(run, 'None', value));
    case 'list':
    case 'tuple_variadic':
      return compileList(type.item ?? { kind: 'any' }, mode, printType(type));
    case 'embedding':
      return compileEmbedding(type.dimension, mode, printType(type));
    case 'set':
      return compileSet(type.item, mode, printType(type));
    case 'tuple':
      return compileTuple(type.items, mode, printType(type));
    case 'dict':
      return compileDict(type.key ?? { kind: 'str' }, type.value ?? { kind: 'any' }, mode, printType(type));
    case 'union':
      return compileUnion(type.members, mode, printType(type));
    case 'literal':
      return compileLiteral(type.members, mode);
    case 'tensor':
      return checkTensor;
  }
}

function checkAny(value: JsonValue, run: Run): JsonValue | undefined {
  if (typeof value === 'string') return isStorableText(value) ? value : refuseText(run, value);
  if (value === null || typeof value !== 'object' || value instanceof JsonNumber) return value;
  return isArray(value) ? checkItems(value, run, checkAny) : checkMembers(value, run, checkKeyText, checkAny);
}

function checkKeyText(key: JsonValue, run: Run): JsonValue | undefined {
  return isStorableText(key as string) ? key : refuseText(run, key as string);
}

/** Checks each item; the same list comes back unless an item was coerced. */
function checkItems(items: readonly JsonValue[], run: Run, check: Check): JsonValue | undefined {
  let made: JsonValue[] | undefined;
  let refused = false;
  const depth = run.depth++;
  for (let index = 0; index < items.length; index++) {
    run.path[depth] = index;
    const item = items[index]!;
    const checked = check(item, run);
    if (checked === undefined) {
      refused = true;
      if (isSettled(run)) break;
    } else if (checked !== item) {
      made ??= [...items];
      made[index] = checked;
    }
  }
  run.depth = depth;
  return refused ? undefined : (made ?? items);
}

function checkMembers(object: JsonObject, run: Run, checkKey: Check, check: Check): JsonValue | undefined {
  let made: Map<string, JsonValue> | undefined;
  let refused = false;
  const depth = run.depth++;
  for (const [key, member] of object) {
    run.path[depth] = key;
    const checked = checkKey(key, run) === undefined ? undefined : check(member, run);
    if (checked === undefined) {
      refused = true;
      if (isSettled(run)) break;
    } else if (checked !== member) {
      made ??= new Map(object);
      made.set(key, checked);
    }
  }
  run.depth = depth;
  return refused ? undefined : (made ?? object);
}

function compileList(item: Type, mode: CheckMode, text: string): Check {
  const check = compileType(item, mode);
  return (value, run) => {
    const items = readItems(value, mode);
    return items ? checkItems(items, run, check) : mismatch(run, text, value);
  };
}

/** The items of a list; in lax mode a lone scalar is a list of one. */
function readItems(value: JsonValue, mode: CheckMode): readonly JsonValue[] | undefined {
  if (isArray(value)) return value;
  return mode === 'lax' && value !== null && !isObject(value) ? [value] : undefined;
}

function compileEmbedding(dimension: number | undefined, mode: CheckMode, text: string): Check {
  const item: Check = (value, run) => checkFloat(value, run, mode === 'exact' ? 'strict' : mode, 'float');
  return (value, run) => {
    if (!isArray(value)) return mismatch(run, text, value);
    if (dimension !== undefined && value.length !== dimension) {
      return refuse(run, 'CONSTRAINT_VIOLATED', `expected ${dimension} numbers, got ${value.length}`);
    }
    return checkItems(value, run, item);
  };
}

function compileSet(item: Type | undefined, mode: CheckMode, text: string): Check {
  const checkItem = item ? compileType(item, mode) : checkHashable;
  return (value, run) => {
    const given = readItems(value, mode);
    if (!given) return mismatch(run, text, value);
    const items = checkItems(given, run, checkItem);
    if (items === undefined || !isArray(items)) return undefined;
    const distinct = new Map<string, JsonValue>();
    for (let index = 0; index < items.length; index++) {
      const key = sameness(items[index]!);
      if (!distinct.has(key)) distinct.set(key, items[index]!);
      else if (mode !== 'lax') {
        run.path[run.depth] = index;
        run.depth++;
        refuse(run, 'DUPLICATE_ITEM', 'a set holds each value once');
        run.depth--;
        if (isSettled(run)) return undefined;
      }
    }
    if (distinct.size === items.length) return items;
    return mode === 'lax' ? [...distinct.values()] : undefined;
  };
}

function checkHashable(value: JsonValue, run: Run): JsonValue | undefined {
  if (isArray(value) || isObject(value))
    return refuse(run, 'TYPE_MISMATCH', `a set cannot hold ${describeJson(value)}`);
  return checkAny(value, run);
}

/** A text that is equal for what Python's sets take for equal. */
function sameness(value: JsonValue): string {
  if (typeof value === 'string') return `s${value}`;
  if (typeof value === 'boolean') return value ? 'n1' : 'n0';
  if (value === null) return 'null';
  if (isArray(value)) return `[${value.map((item) => JSON.stringify(sameness(item))).join()}]`;
  if (!(value instanceof JsonNumber)) return 'object';
  const integer = value.isInteger ? value.text : integralText(value.text);
  return `n${integer === undefined ? value.toNumber() : integer === '-0' ? '0' : integer}`;
}

function compileTuple(types: readonly Type[], mode: CheckMode, text: string): Check {
  const checks = types.map((type) => compileType(type, mode));
  const checkNext: Check = (value, run) => checks[run.path[run.depth - 1] as number]!(value, run);
  return (value, run) => {
    if (!isArray(value)) return mismatch(run, text, value);
    if (value.length !== checks.length) {
      const count = checks.length === 1 ? '1 item' : `${checks.length} items`;
      return refuse(run, 'TYPE_MISMATCH', `expected ${count}, got ${value.length}`);
    }
    return checkItems(value, run, checkNext);
  };
}

function compileDict(key: Type, member: Type, mode: CheckMode, text: string): Check {
  const check = compileType(member, mode);
  const checkKey = compileKey(key);
  return (value, run) => (isObject(value) ? checkMembers(value, run, checkKey, check) : mismatch(run, text, value));
}

/** JSON writes every key as text, so a key fits if its text reads as a value of the key's type; it stays as it is. */
function compileKey(key: Type): Check {
  if (key.kind === 'str' || key.kind === 'any') return checkKeyText;
  const check = compileType(key, 'lax');
  const text = printType(key);
  return (value, run) => {
    if (checkKeyText(value, run) === undefined) return undefined;
    run.trials++;
    const checked = check(value, run);
    run.trials--;
    return checked === undefined ? refuse(run, 'TYPE_MISMATCH', `the key does not read as \`${text}\``) : value;
  };
}

function compileUnion(members: readonly Type[], mode: CheckMode, text: string): Check {
  const present = members.filter((member) => member.kind !== 'none');
  if (present.length === 1) {
    // `X | None` is told about as X: the place of the fault inside is worth more than the list of members.
    const check = compileType(present[0]!, mode);
    return (value, run) => (value === null ? null : check(value, run));
  }
  const modes = stages[mode];
  const checks = modes.flatMap((each) => members.map((member) => compileType(member, each)));
  const fit: Check = (value, run) => {
    const depth = run.depth;
    let checked: JsonValue | undefined;
    for (let index = 0; index < checks.length && checked === undefined; index++) {
      checked = checks[index]!(value, run);
      run.depth = depth;
    }
    return checked;
  };
  return (value, run) => {
    run.trials++;
    let before = value;
    let checked = fit(value, run);
    // What was coerced into one member may fit another as it stands: it is taken as that one takes it, so that it is taken so again.
    for (let more = members.length; checked !== undefined && checked !== before && more > 0; more--) {
      before = checked;
      checked = fit(checked, run) ?? checked;
    }
    run.trials--;
    return checked === undefined ? mismatch(run, text, value) : checked;
  };
}

// A member that fits as it stands wins over one that has to be coerced.
const stages: Record<CheckMode, readonly CheckMode[]> = {
  exact: ['exact'],
  strict: ['exact', 'strict'],
  lax: ['exact', 'strict', 'lax'],
};
