import { JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { type Field, type Type, withoutNone } from '@signet/signature/types.ts';

/** A source of numbers that look random and are the same for the same seed. */
export type Dice = {
  /** A whole number from 0 to below `sides`. */
  roll(sides: number): number;
};

/** Makes a value out of a source of numbers. */
export type MakeValue = (dice: Dice) => JsonValue;

/** Makes a source of numbers (mulberry32). */
export function createDice(seed: number): Dice {
  let state = seed | 0;
  return {
    roll(sides) {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * sides);
    },
  };
}

/** Makes the source of a field's values: of its type, within its constraints. */
export function mockField(field: Field): MakeValue {
  const bounds = Object.fromEntries(field.constraints.map(({ name, value }) => [name, value.toNumber()]));
  return mockType(withoutNone(field.type), { ...bounds, name: field.name });
}

type Bounds = {
  readonly gt?: number;
  readonly ge?: number;
  readonly lt?: number;
  readonly le?: number;
  readonly multiple_of?: number;
  readonly min_length?: number;
  readonly max_length?: number;
  readonly name: string;
};

function mockType(type: Type, bounds: Bounds): MakeValue {
  switch (type.kind) {
    case 'str':
    case 'any':
      return (dice) => mockText(dice, bounds);
    case 'int':
      return (dice) => new JsonNumber(mockInteger(dice, bounds));
    case 'float':
      return (dice) => mockFloat(dice, bounds, 0, 1000);
    case 'probability':
      return (dice) => mockFloat(dice, bounds, 0, 1);
    case 'bool':
      return (dice) => dice.roll(2) === 1;
    case 'none':
      return () => null;
    case 'literal':
      return (dice) => type.members[dice.roll(type.members.length)]!;
    case 'union':
      return mockType(type.members.find(({ kind }) => kind !== 'none') ?? type.members[0]!, bounds);
    case 'embedding':
      return (dice) => times(type.dimension ?? lengthOf(dice, bounds, 3), () => float(dice.roll(2000) / 1000 - 1));
    case 'tensor':
      return (dice) => mockTensor(dice);
    case 'tuple': {
      const makers = type.items.map((item) => mockType(item, { name: bounds.name }));
      return (dice) => makers.map((make) => make(dice));
    }
    case 'list':
    case 'tuple_variadic': {
      const make = mockType(type.item ?? { kind: 'any' }, { name: bounds.name });
      return (dice) => times(lengthOf(dice, bounds, 2), () => make(dice));
    }
    case 'set':
      return mockSet(type.item ?? { kind: 'any' }, bounds);
    case 'dict':
      return mockDict(type.key ?? { kind: 'str' }, type.value ?? { kind: 'any' }, bounds);
  }
}

const words = ['amber', 'birch', 'cedar', 'delta', 'ember', 'fjord', 'grove', 'heron', 'inlet', 'jade', 'kelp', 'lark'];

function mockText(dice: Dice, { name, min_length = 0, max_length }: Bounds): string {
  let text = `mock ${name} ${words[dice.roll(words.length)]} ${words[dice.roll(words.length)]} ${dice.roll(10_000)}`;
  while (text.length < min_length) text += ` ${words[dice.roll(words.length)]}`;
  // A length counts characters, not UTF-16 units; only ASCII is made here but for the name.
  return max_length !== undefined && [...text].length > max_length ? [...text].slice(0, max_length).join('') : text;
}

function mockInteger(dice: Dice, { gt, ge, lt, le, multiple_of = 1 }: Bounds): string {
  const step = BigInt(Math.round(multiple_of));
  const low = lowest(gt === undefined ? undefined : Math.floor(gt) + 1, ge === undefined ? undefined : Math.ceil(ge));
  const high = highest(lt === undefined ? undefined : Math.ceil(lt) - 1, le === undefined ? undefined : Math.floor(le));
  const from = low ?? (high === undefined ? 0 : high - 100 * Number(step));
  const first = ceilTo(BigInt(from), step);
  const last = high === undefined ? first + 100n * step : BigInt(high);
  const count = last < first ? 1n : (last - first) / step + 1n;
  return String(first + step * BigInt(dice.roll(Number(count > 1000n ? 1000n : count))));
}

function ceilTo(value: bigint, step: bigint): bigint {
  const rest = ((value % step) + step) % step;
  return rest === 0n ? value : value + step - rest;
}

function mockFloat(dice: Dice, { gt, ge, lt, le, multiple_of }: Bounds, min: number, max: number): JsonNumber {
  const low = lowest(gt, ge) ?? Math.min(min, (highest(lt, le) ?? max) - 1);
  const high = highest(lt, le) ?? Math.max(max, low + 1);
  if (multiple_of !== undefined) {
    let steps = Math.ceil(low / multiple_of);
    if (gt !== undefined && steps * multiple_of <= gt) steps++;
    return float(steps * multiple_of);
  }
  if (low === high) return float(low);
  // Inside the ends, which may not belong to it.
  return float(low + ((high - low) * (1 + dice.roll(998))) / 1000);
}

function float(value: number): JsonNumber {
  const text = String(value);
  return new JsonNumber(/^-?\d+$/.test(text) ? `${text}.0` : text);
}

function lowest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.max(a, b);
}

function highest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b);
}

function lengthOf(dice: Dice, { min_length = 0, max_length }: Bounds, usual: number): number {
  const length = Math.max(min_length, 1 + dice.roll(usual));
  return max_length === undefined ? length : Math.min(length, max_length);
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

function mockSet(item: Type, bounds: Bounds): MakeValue {
  const make = mockType(item, { name: bounds.name });
  return (dice) => {
    const length = lengthOf(dice, bounds, 2);
    const distinct = new Map<string, JsonValue>();
    for (let tries = 0; distinct.size < length && tries < length * 50; tries++) {
      const value = make(dice);
      distinct.set(JSON.stringify(value instanceof JsonNumber ? value.toNumber() : value), value);
    }
    return [...distinct.values()];
  };
}

function mockDict(key: Type, value: Type, bounds: Bounds): MakeValue {
  const makeKey = mockType(key, { name: 'key' });
  const makeMember = mockType(value, { name: bounds.name });
  return (dice) => {
    const length = lengthOf(dice, bounds, 2);
    const members = new Map<string, JsonValue>();
    for (let tries = 0; members.size < length && tries < length * 50; tries++) {
      const made = makeKey(dice);
      members.set(made instanceof JsonNumber ? made.text : String(made), makeMember(dice));
    }
    return members;
  };
}

function mockTensor(dice: Dice): JsonValue {
  return new Map<string, JsonValue>([
    ['shape', [new JsonNumber('2')]],
    ['dtype', 'float32'],
    ['data', [float(dice.roll(100)), float(dice.roll(100))]],
  ]);
}
