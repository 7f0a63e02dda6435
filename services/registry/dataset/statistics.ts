import { createHash } from 'node:crypto';
import { isArray, JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { printFieldType } from '@signet/signature/print.ts';
import type { SignatureSpec } from '@signet/signature/types.ts';
import { canonicalJson } from './canonical-json.ts';
import type { Example } from './dataset.ts';

/** The values of one field in figures; `measure` says what min, max and mean are about, empty if there are none. */
export type FieldStatistics = {
  readonly field: string;
  readonly type: string;
  readonly filledCount: number;
  readonly distinctCount: number;
  readonly measure: '' | 'value' | 'length';
  readonly min: number;
  readonly max: number;
  readonly mean: number;
};

/** The examples of a version in figures, those apart that its row holds. */
export type ExampleStatistics = {
  readonly unlabelledCount: number;
  readonly fromExecutionsCount: number;
  readonly fields: readonly FieldStatistics[];
};

/** Sums up examples one by one; memory does not grow with their number. */
export type StatisticsGatherer = {
  add(example: Example): void;
  result(): ExampleStatistics;
};

/** Makes a gatherer for examples of one signature. */
export function createStatisticsGatherer(spec: SignatureSpec): StatisticsGatherer {
  const sides = (['inputs', 'outputs'] as const).map((side) => ({
    side,
    fields: spec[side].map((field) => ({ field, gathered: new FieldGatherer() })),
  }));
  let unlabelledCount = 0;
  let fromExecutionsCount = 0;
  return {
    add(example) {
      if (example.outputs === '{}') unlabelledCount++;
      if (example.sourceExecutionId !== null) fromExecutionsCount++;
      for (const { side, fields } of sides) {
        const object = parseJson(example[side]) as JsonObject;
        for (const { field, gathered } of fields) {
          const value = object.get(field.name);
          if (value !== undefined && value !== null) gathered.add(value);
        }
      }
    },
    result: () => ({
      unlabelledCount,
      fromExecutionsCount,
      fields: sides.flatMap(({ side, fields }) =>
        fields.map(({ field, gathered }) => ({
          field: `${side}.${field.name}`,
          type: printFieldType(field),
          ...gathered.result(),
        })),
      ),
    }),
  };
}

class FieldGatherer {
  private filled = 0;
  private readonly distinct = new DistinctCounter();
  private measure: FieldStatistics['measure'] = '';
  private min = 0;
  private max = 0;
  private mean = 0;

  add(value: NonNullable<JsonValue>): void {
    this.filled++;
    this.distinct.add(canonicalJson(value));
    const [measure, size] = sizeOf(value);
    // A field of several types is measured by lengths or values, whichever came first.
    if (this.measure === '') [this.measure, this.min, this.max] = [measure, size, size];
    if (this.measure !== measure) return;
    this.min = Math.min(this.min, size);
    this.max = Math.max(this.max, size);
    // Not a sum divided at last: large values would leave the range of a double.
    this.mean += (size - this.mean) / this.filled;
  }

  result(): Omit<FieldStatistics, 'field' | 'type'> {
    const { filled: filledCount, measure, min, max, mean } = this;
    const distinctCount = Math.min(this.distinct.count(), filledCount);
    return { filledCount, distinctCount, measure, min, max, mean };
  }
}

function sizeOf(value: NonNullable<JsonValue>): readonly ['value' | 'length', number] {
  if (value instanceof JsonNumber) return ['value', value.toNumber()];
  if (typeof value === 'boolean') return ['value', value ? 1 : 0];
  if (typeof value === 'string') return ['length', [...value].length];
  return ['length', isArray(value) ? value.length : value.size];
}

const keptMax = 4000;

/** Counts different texts: exactly up to 4,000, beyond that by the 4,000 smallest of their hashes, within about 5 of 100. */
export class DistinctCounter {
  private kept = new Set<number>();
  private largest = Number.POSITIVE_INFINITY;

  add(text: string): void {
    const hash = createHash('sha256').update(text).digest().readUIntBE(0, 6);
    if (hash >= this.largest || this.kept.has(hash)) return;
    this.kept.add(hash);
    // Sorting at twice the size keeps its cost a small one of each text.
    if (this.kept.size >= 2 * keptMax) this.cut();
  }

  count(): number {
    if (this.kept.size > keptMax) this.cut();
    if (this.largest === Number.POSITIVE_INFINITY) return this.kept.size;
    // The share of all hashes that lie below the last kept one is known, so the number of all follows.
    return Math.round(((keptMax - 1) / this.largest) * 2 ** 48);
  }

  private cut(): void {
    const smallest = [...this.kept].sort((a, b) => a - b).slice(0, keptMax);
    this.kept = new Set(smallest);
    this.largest = smallest.at(-1)!;
  }
}
