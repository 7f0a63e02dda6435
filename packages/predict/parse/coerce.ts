import { JsonNumber } from '@signet/signature/json.ts';
import type { PlanType } from '../plan/plan.ts';
import { isInt, toDouble } from '../python/number.ts';
import { isDict, isList, PythonSet, type PythonValue } from '../python/value.ts';
import { boolOf, floatOf, intOf } from './coerce-scalar.ts';
import { type Coerce, type Coerced, DOUBT, type Nearness, UNFIT } from './coerced.ts';
import { compileLiteral } from './literal.ts';

const compiled = new WeakMap<PlanType, Coerce>();

/** The coercion of a type; made once a type. */
export function coercionOf(type: PlanType): Coerce {
  let coerce = compiled.get(type);
  if (coerce === undefined) {
    coerce = compile(type);
    compiled.set(type, coerce);
  }
  return coerce;
}

function compile(type: PlanType): Coerce {
  switch (type.kind) {
    case 'str':
      return (value) => (typeof value === 'string' ? value : UNFIT);
    case 'int':
      return intOf;
    case 'float':
      return floatOf;
    case 'bool':
      return boolOf;
    case 'none':
      return (value) => (value === null ? null : UNFIT);
    case 'any':
      return anything;
    case 'literal':
      return compileLiteral(type.values);
    case 'list':
      return compileList(type.args[0]);
    case 'tuple_variadic':
      return lax(compileList(type.args[0]));
    case 'tuple':
      return type.args.length === 0 ? () => DOUBT : compileTuple(type.args);
    case 'set':
      return compileSet(type.args[0]);
    case 'dict':
      return compileDict(type.args[1]);
    case 'union':
      return compileUnion(type.args);
  }
}

function lax(coerce: Coerce): Coerce {
  return (value, near) => {
    near.level = 2;
    return coerce(value, near);
  };
}

function compileList(item: PlanType | undefined): Coerce {
  // pydantic does not look into a list of anything, so nothing in it is less than exact.
  if (item === undefined || item.kind === 'any') return (value) => (isList(value) ? value : UNFIT);
  const coerce = coercionOf(item);
  return (value, near) => (isList(value) ? each(value, () => coerce, near) : UNFIT);
}

const anything: Coerce = (value, near) => {
  if (near.level < 1) near.level = 1;
  return value;
};

function compileTuple(items: readonly PlanType[]): Coerce {
  const coerces = items.map(coercionOf);
  return (value, near) => {
    near.level = 2;
    if (!isList(value) || value.length !== coerces.length) return UNFIT;
    return each(value, (index) => coerces[index]!, near);
  };
}

// All items are looked at: one that does not fit decides, whatever is in doubt beside it.
function each(items: readonly PythonValue[], coerceOf: (index: number) => Coerce, near: Nearness): Coerced {
  const made: PythonValue[] = [];
  let inDoubt = false;
  for (let index = 0; index < items.length; index++) {
    const coerced = coerceOf(index)(items[index]!, near);
    if (coerced === UNFIT) return UNFIT;
    if (coerced === DOUBT) inDoubt = true;
    else made.push(coerced);
  }
  return inDoubt ? DOUBT : made;
}

function compileSet(item: PlanType | undefined): Coerce {
  if (item === undefined) return () => DOUBT;
  const coerce = coercionOf(item);
  return (value, near) => {
    near.level = 2;
    if (!isList(value)) return UNFIT;
    const items = each(value, () => coerce, near);
    if (items === UNFIT || items === DOUBT || !isList(items)) return items;
    return distinct(items);
  };
}

function distinct(items: readonly PythonValue[]): Coerced {
  const kept = new Map<string, PythonValue>();
  for (const item of items) {
    const key = hashKey(item, kept.size);
    if (key === undefined) return DOUBT;
    if (!kept.has(key)) kept.set(key, item);
  }
  return new PythonSet([...kept.values()]);
}

// Python's ==: 1, 1.0 and True are one, two NaN are two.
function hashKey(item: PythonValue, unique: number): string | undefined {
  if (typeof item === 'string') return `s${item}`;
  if (item === null) return 'None';
  if (typeof item === 'boolean') return item ? '1' : '0';
  if (!(item instanceof JsonNumber)) return undefined;
  if (isInt(item)) return item.text;
  const value = toDouble(item);
  if (Number.isNaN(value)) return `nan${unique}`;
  return Number.isInteger(value) ? String(BigInt(value)) : item.text;
}

function compileDict(member: PlanType | undefined): Coerce {
  const coerce = member === undefined ? anything : coercionOf(member);
  return (value, near) => {
    if (!isDict(value)) return UNFIT;
    const made = new Map<string, PythonValue>();
    let inDoubt = false;
    for (const [key, item] of value) {
      const coerced = coerce(item, near);
      if (coerced === UNFIT) return UNFIT;
      if (coerced === DOUBT) inDoubt = true;
      else made.set(key, coerced);
    }
    return inDoubt ? DOUBT : made;
  };
}

// None is looked at before all others; of the rest the first exact fit wins, else the nearest, else the first of equals.
function compileUnion(members: readonly PlanType[]): Coerce {
  const nullable = members.some(({ kind }) => kind === 'none');
  const coerces = members.filter(({ kind }) => kind !== 'none').map(coercionOf);
  const rest = coerces.length === 1 ? coerces[0]! : nearestOf(coerces);
  return nullable ? (value, near) => (value === null ? null : rest(value, near)) : rest;
}

function nearestOf(coerces: readonly Coerce[]): Coerce {
  return (value, near) => {
    let best: Coerced = UNFIT;
    let bestLevel: Nearness['level'] | 3 = 3;
    for (const coerce of coerces) {
      const own: Nearness = { level: 0 };
      const coerced = coerce(value, own);
      if (coerced === DOUBT) return DOUBT;
      if (coerced === UNFIT || own.level >= bestLevel) continue;
      best = coerced;
      bestLevel = own.level;
      if (bestLevel === 0) break;
    }
    if (bestLevel !== 3 && bestLevel > near.level) near.level = bestLevel;
    return best;
  };
}
