import { writeCell } from '@signet/rows/cell.ts';
import { isObject, JsonError, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { Field } from '@signet/signature/types.ts';
import type { BatchItem } from './batch-items.ts';

/** The fields that make columns; where none are known, one column holds the whole object as JSON. */
export type ResultFields = { readonly inputs: readonly Field[]; readonly outputs: readonly Field[] };

/** Nothing is known of the fields. */
export const unknownFields: ResultFields = { inputs: [], outputs: [] };

/** One column of a table of results. */
export type ResultColumn = {
  readonly name: string;
  readonly kind: 'text' | 'integer' | 'number' | 'truth';
  /** Undefined where the item has nothing to say. */
  readonly value: (row: ResultRow) => JsonValue | undefined;
  /** As a cell of text. */
  readonly text: (row: ResultRow) => string;
};

/** An item with its objects read. */
export type ResultRow = { readonly item: BatchItem; readonly inputs: JsonObject; readonly outputs: JsonObject };

const nothing: JsonObject = new Map();

/** Reads an item's objects. */
export function rowOf(item: BatchItem): ResultRow {
  return { item, inputs: objectIn(item.inputsJson), outputs: objectIn(item.outputsJson) };
}

/** The columns of a table of results: the item's own, then `inputs.NAME` and `outputs.NAME`. */
export function columnsOf({ inputs, outputs }: ResultFields): ResultColumn[] {
  return [
    plain('index', 'integer', ({ item }) => String(item.index)),
    plain('execution_id', 'text', ({ item }) => item.executionId),
    plain('example_id', 'text', ({ item }) => item.exampleId),
    plain('status', 'text', ({ item }) => item.status),
    ...fieldColumns('inputs', inputs, ({ item }) => item.inputsJson),
    ...fieldColumns('outputs', outputs, ({ item }) => item.outputsJson),
    plain('error_reason', 'text', ({ item }) => item.fault?.reason ?? ''),
    plain('error_message', 'text', ({ item }) => item.fault?.message ?? ''),
    plain('duration_ms', 'number', ({ item }) => String(item.durationMs)),
  ];
}

function plain(name: string, kind: ResultColumn['kind'], text: ResultColumn['text']): ResultColumn {
  const value = (row: ResultRow) => text(row) || undefined;
  return { name, kind, value, text };
}

function fieldColumns(
  side: 'inputs' | 'outputs',
  fields: readonly Field[],
  whole: (row: ResultRow) => string | undefined,
): ResultColumn[] {
  if (fields.length === 0) return [plain(side, 'text', (row) => whole(row) ?? '')];
  return fields.map((field) => ({
    name: `${side}.${field.name}`,
    kind: kindOf(field),
    value: (row) => row[side].get(field.name),
    text: (row) => guarded(writeCell(field, row[side].get(field.name)), kindOf(field)),
  }));
}

function kindOf({ type }: Field): ResultColumn['kind'] {
  if (type.kind === 'int') return 'integer';
  if (type.kind === 'float' || type.kind === 'probability') return 'number';
  return type.kind === 'bool' ? 'truth' : 'text';
}

// A spreadsheet would run a model's text that begins like a formula.
function guarded(text: string, kind: ResultColumn['kind']): string {
  return kind === 'text' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

function objectIn(json: string | undefined): JsonObject {
  if (json === undefined) return nothing;
  try {
    const value = parseJson(json);
    return isObject(value) ? value : nothing;
  } catch (error) {
    if (error instanceof JsonError) return nothing;
    throw error;
  }
}
