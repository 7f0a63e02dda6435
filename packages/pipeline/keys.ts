import { isArray, isObject, JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { suggest } from '@signet/signature/suggest.ts';
import { at, type Faults, shown } from './fault.ts';

/** Reads the keys of an object of a spec; what does not fit is added to the faults and counts as absent. */
export class Keys {
  readonly object: JsonObject;
  readonly path: string;
  private readonly faults: Faults;

  constructor(object: JsonObject, path: string, faults: Faults) {
    this.object = object;
    this.path = path;
    this.faults = faults;
  }

  /** True if the key is there; null counts as absent. */
  has(key: string): boolean {
    return (this.object.get(key) ?? null) !== null;
  }

  /** A text. */
  text(key: string): string | undefined {
    return this.value(key, 'a text', (value) => (typeof value === 'string' ? value : undefined));
  }

  /** A whole number from `min` to `max`. */
  whole(key: string, min: number, max: number): number | undefined {
    return this.value(key, `an integer from ${min} to ${max}`, (value) => {
      // A Struct gives every number as a double.
      const number = value instanceof JsonNumber ? value.toNumber() : undefined;
      return number !== undefined && Number.isInteger(number) && number >= min && number <= max ? number : undefined;
    });
  }

  /** A list. */
  list(key: string): readonly JsonValue[] | undefined {
    return this.value(key, 'a list', (value) => (isArray(value) ? value : undefined));
  }

  /** An object. */
  record(key: string): JsonObject | undefined {
    return this.value(key, 'an object', (value) => (isObject(value) ? value : undefined));
  }

  /** One of a few words. */
  word<Word extends string>(key: string, words: readonly Word[]): Word | undefined {
    return this.value(key, `one of ${words.join(', ')}`, (value) => words.find((word) => word === value));
  }

  /** Adds a fault for a key that has to be there and is not. */
  demand(key: string, what: string): void {
    if (!this.has(key)) this.faults.add(at(this.path, key), 'REQUIRED', `is required: ${what}`);
  }

  /** Adds a fault for each key that is none of these. */
  only(known: readonly string[]): void {
    for (const key of this.object.keys()) {
      if (known.includes(key)) continue;
      const hint = suggest(key, known) || `; there are ${known.join(', ')}`;
      this.faults.add(at(this.path, key), 'FIELD_UNKNOWN', `\`${shown(key)}\` is unknown here${hint}`);
    }
  }

  private value<T>(key: string, expected: string, read: (value: JsonValue) => T | undefined): T | undefined {
    const value = this.object.get(key) ?? null;
    if (value === null) return undefined;
    const found = read(value);
    if (found === undefined) this.faults.add(at(this.path, key), 'INVALID', `must be ${expected}`);
    return found;
  }
}
