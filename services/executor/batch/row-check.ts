import { isObject, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import { type BatchFault, faultsMax } from './batch.ts';
import type { Rejected } from './load-store.postgres.ts';

/** Gathers what is wrong with rows: the first 100 faults, and how many rows there are of them. */
export class Rejections implements Rejected {
  readonly faults: BatchFault[] = [];
  count = 0;

  /** Rejects one row. */
  add(faults: readonly BatchFault[]): void {
    this.count++;
    for (const fault of faults) if (this.faults.length < faultsMax) this.faults.push(fault);
  }
}

/** A row's inputs as they are kept, or why they do not fit the program. */
export type CheckedRow = { readonly json: string } | { readonly faults: readonly BatchFault[] };

/** Checks the inputs of one row against a program; `line` is where it stands. */
export function checkRow(program: ServedProgram, inputs: JsonValue, line: number): CheckedRow {
  const result = program.checkInputs(inputs);
  if (result.ok) return { json: writeJson(result.values) };
  const faults = result.violations.map(({ field, reason, description }) => ({
    ...{ line, column: 0, reason, description },
    field: field.replace(/^inputs(\.|$)/, ''),
  }));
  return { faults };
}

/** The inputs in a row: the object itself, or its member `inputs` as exported examples have it. */
export function inputsIn(program: ServedProgram, row: JsonObject): JsonObject {
  const inner = row.get('inputs');
  if (inner === undefined || !isObject(inner)) return row;
  return program.engineProgram.signature.inputs.some(({ name }) => name === 'inputs') ? row : inner;
}
