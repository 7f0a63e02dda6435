import { readCell } from '@signet/rows/cell.ts';
import type { CsvRow } from '@signet/rows/csv.ts';
import type { JsonRow } from '@signet/rows/ndjson.ts';
import type { RowFault } from '@signet/rows/row-fault.ts';
import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import { JsonNumber, pathStep } from '@signet/signature/json.ts';
import { suggest } from '@signet/signature/suggest.ts';
import type { Field, SignatureSpec } from '@signet/signature/types.ts';
import type { FieldChecks } from '../check/field-checks.ts';

/** An example as its row says it, not checked yet; what is not said is undefined. */
export type GivenExample = {
  readonly inputs: JsonValue;
  readonly outputs: JsonValue;
  readonly split?: JsonValue | undefined;
  readonly weight?: JsonValue | undefined;
  readonly label?: JsonValue | undefined;
  readonly sourceExecutionId?: JsonValue | undefined;
};

type Draft = { -readonly [Key in keyof GivenExample]: GivenExample[Key] };

/** A row of an import: an example, or what is wrong with it. */
export type GivenRow =
  | { readonly line: number; readonly given: GivenExample }
  | { readonly line: number; readonly faults: readonly RowFault[] };

/** Reads rows of files as examples of one signature. */
export type RowReader = {
  fromJson(row: JsonRow): GivenRow;
  fromCells(row: CsvRow): GivenRow;
};

type Place =
  | { readonly side: 'inputs' | 'outputs'; readonly field: Field }
  | { readonly about: 'split' | 'weight' | 'label' | 'sourceExecutionId' }
  | 'ignored';

const abouts = new Map<string, Place>(
  [
    ...(['split', 'weight', 'label', 'sourceExecutionId'] as const).map((about) => [about, about] as const),
    ['source_execution_id', 'sourceExecutionId'] as const,
  ].map(([name, about]) => [name, { about }]),
);

/**
 * Makes a reader. `columns` says which field a column is: one of the signature, `$split`, `$weight`, `$label`, or empty for none; what
 * is wrong with it is added to the checks.
 */
export function createRowReader(
  spec: SignatureSpec,
  columns: Readonly<Record<string, string>>,
  checks: FieldChecks,
): RowReader {
  const places = new Map<string, Place>();
  for (const [name, place] of abouts) {
    places.set(name, place);
    places.set(`$${name}`, place);
  }
  for (const side of ['inputs', 'outputs'] as const) {
    for (const field of spec[side]) places.set(field.name, { side, field });
  }
  const named = new Map(places);
  for (const [column, target] of Object.entries(columns)) {
    const place = target === '' ? 'ignored' : places.get(target);
    if (place === undefined) {
      const known = [...spec.inputs, ...spec.outputs].map(({ name }) => name);
      checks.add(
        `columns${pathStep(column)}`,
        `the signature has no such field${suggest(target, known)}`,
        'FIELD_UNKNOWN',
      );
    } else named.set(column, place);
  }
  const isNested = !places.has('inputs');
  return {
    fromJson: ({ line, object }) =>
      isNested && object.has('inputs')
        ? nested(line, object)
        : flat(line, object, named, (_field, value) => ({ value })),
    // Outputs are what is known: an empty cell says nothing of one, where an input of type `str` must be there.
    fromCells: ({ line, cells }) =>
      flat(line, cells, named, (field, text, side) =>
        side === 'outputs' && text === '' ? { value: undefined } : readCell(field, text),
      ),
  };
}

function nested(line: number, object: JsonObject): GivenRow {
  const faults: RowFault[] = [];
  const given: Draft = { inputs: null, outputs: new Map() };
  for (const [key, value] of object) {
    const place = abouts.get(key);
    if (key === 'inputs' || key === 'outputs') given[key] = value;
    else if (typeof place === 'object' && 'about' in place) given[place.about] = value;
    else faults.push(fault(line, pathStep(key).slice(1), 'FIELD_UNKNOWN', 'is no part of an example'));
  }
  return faults.length > 0 ? { line, faults } : { line, given };
}

type Reading = { readonly value: JsonValue | undefined } | { readonly problem: string };

function flat<Value extends JsonValue>(
  line: number,
  row: ReadonlyMap<string, Value>,
  places: ReadonlyMap<string, Place>,
  read: (field: Field, value: Value, side: 'inputs' | 'outputs') => Reading,
): GivenRow {
  const faults: RowFault[] = [];
  const inputs = new Map<string, JsonValue>();
  const outputs = new Map<string, JsonValue>();
  const given: Draft = { inputs, outputs };
  for (const [column, value] of row) {
    const place = places.get(column);
    if (place === undefined) {
      faults.push(fault(line, pathStep(column).replace(/^\./, ''), 'FIELD_UNKNOWN', 'the signature has no such field'));
    } else if (place === 'ignored') {
    } else if ('about' in place) {
      if (value !== '') given[place.about] = place.about === 'weight' ? numberOf(value) : value;
    } else {
      const path = `${place.side}${pathStep(place.field.name)}`;
      const side = place.side === 'inputs' ? inputs : outputs;
      const reading = read(place.field, value, place.side);
      if ('problem' in reading) faults.push(fault(line, path, 'TYPE_MISMATCH', reading.problem));
      else if (side.has(place.field.name)) faults.push(fault(line, path, 'FIELD_TWICE', 'is given by two columns'));
      else if (reading.value !== undefined) side.set(place.field.name, reading.value);
    }
  }
  return faults.length > 0 ? { line, faults } : { line, given };
}

// A cell's weight is text.
function numberOf(value: JsonValue): JsonValue {
  return typeof value === 'string' && /^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(value)
    ? new JsonNumber(value)
    : value;
}

/** Makes a fault of a row. */
export function fault(line: number, field: string, reason: string, description: string): RowFault {
  return { line, column: 0, field, reason, description };
}
