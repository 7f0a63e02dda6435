import { AppError } from '@signet/kit/error/app-error.ts';

/** What is wrong with one row of a file. */
export type RowFault = {
  /** The line on which the row begins, from 1. */
  readonly line: number;
  /** Where in the line text could not be read, from 1; 0 where that says nothing. */
  readonly column: number;
  /** The path of the field; empty if the row as a whole is meant. */
  readonly field: string;
  readonly reason: string;
  readonly description: string;
};

/** A row that could not be read at all. */
export type BadRow = { readonly line: number; readonly fault: RowFault };

/** The most bytes of a row. */
export const rowBytesMax = 1024 * 1024;

/** Makes a row that could not be read. */
export function badRow(line: number, reason: string, description: string, column = 0): BadRow {
  return { line, fault: { line, column, field: '', reason, description } };
}

/** The path of a fault in the violations of an error, such as `lines[7].inputs.question`. */
export function faultPath({ line, field }: RowFault): string {
  return `lines[${line}]${field === '' ? '' : `.${field}`}`;
}

/** The error for a file behind a place where nothing can be read any more. */
export function brokenFile(line: number, reason: string, description: string): AppError {
  return new AppError('INVALID_REQUEST', `line ${line}: ${description}`, {
    metadata: { line: String(line) },
    fieldViolations: [{ field: `lines[${line}]`, reason, description }],
  });
}
