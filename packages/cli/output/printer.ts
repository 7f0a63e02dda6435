import { type JsonObject, writeJson } from '@signet/client/json.ts';
import { SignetError } from '@signet/client/signet-error.ts';
import type { Terminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { createPaint, type Paint } from './paint.ts';
import { clean, recordLines, tableLines } from './table.ts';

/** Prints what commands have to say: for people, or with `--json` for programs. */
export type Printer = {
  readonly isJson: boolean;
  readonly paint: Paint;
  /** One answer: a JSON document, or lines. */
  document(answer: JsonObject): void;
  /** One answer as a JSON document, asked for or not. */
  json(answer: JsonObject): void;
  /** One of many answers as a line of JSON, asked for or not. */
  jsonLine(answer: JsonObject): void;
  /** One of many answers: a line of JSON, or a line for people. */
  item(answer: JsonObject, line: () => string): void;
  /** Text as it is, on the way to people. */
  text(text: string): void;
  /** A remark that is not part of the answer. */
  note(line: string): void;
  failure(error: unknown): void;
};

/** Makes a printer for a terminal. */
export function createPrinter(terminal: Terminal, isJson: boolean): Printer {
  const { stdout, stderr, env } = terminal;
  const paint = createPaint(stdout, env);
  const paintError = createPaint(stderr, env);
  const lines = (all: readonly string[]): void => void stdout.write(all.map((line) => `${line}\n`).join(''));
  return {
    isJson,
    paint,
    document(answer) {
      if (isJson) lines([writeJson(answer, 2)]);
      else lines(answerLines(answer, paint));
    },
    json: (answer) => lines([writeJson(answer, 2)]),
    jsonLine: (answer) => lines([writeJson(answer)]),
    item: (answer, line) => lines([isJson ? writeJson(answer) : line()]),
    text: (text) => void stdout.write(text),
    note: (line) => void stderr.write(`${paintError('dim', line)}\n`),
    failure(error) {
      if (isJson) stderr.write(`${writeJson(failureJson(error))}\n`);
      else
        stderr.write(
          failureLines(error, paintError)
            .map((line) => `${line}\n`)
            .join(''),
        );
    },
  };
}

/** The list in an answer that is a page of one; undefined if it is none. */
export function rowsOf(answer: JsonObject): readonly JsonObject[] | undefined {
  const members = Object.entries(answer).filter(([name]) => name !== 'nextPageToken');
  const [only] = members;
  if (members.length !== 1 || only === undefined || !Array.isArray(only[1])) return undefined;
  return only[1].every((row) => typeof row === 'object' && row !== null) ? (only[1] as JsonObject[]) : undefined;
}

function answerLines(answer: JsonObject, paint: Paint): string[] {
  const rows = rowsOf(answer);
  if (rows === undefined) return recordLines(answer, paint);
  return rows.length === 0 ? [] : tableLines(rows, paint);
}

function failureLines(error: unknown, paint: Paint): string[] {
  if (!(error instanceof SignetError)) {
    const message = error instanceof Error ? error.message : String(error);
    const hint = error instanceof UsageError ? ['see `signet help`, or --help after any command'] : [];
    return [`${paint('bad', 'signet:')} ${clean(message)}`, ...hint];
  }
  const isSpelledOut = error.fieldViolations.length > 0;
  const [head = ''] = isSpelledOut ? error.message.split('\n') : [error.message];
  return [
    `${paint('bad', error.reason)} ${clean(head)}`,
    ...error.fieldViolations.map(({ field, description }) => `  ${paint('bold', clean(field))}  ${clean(description)}`),
    ...(error.executionId === undefined ? [] : [`  ${paint('dim', 'execution')}  ${clean(error.executionId)}`]),
    ...(error.retryAfterMs === undefined ? [] : [`  ${paint('dim', 'try again in')}  ${error.retryAfterMs / 1000} s`]),
  ];
}

function failureJson(error: unknown): JsonObject {
  if (!(error instanceof SignetError)) {
    const reason = error instanceof UsageError ? 'USAGE' : 'FAILED';
    return { error: { reason, message: error instanceof Error ? error.message : String(error) } };
  }
  const { reason, message, metadata, fieldViolations, retryAfterMs, executionId } = error;
  const optional = { ...(retryAfterMs === undefined ? {} : { retryAfterMs }), ...(executionId ? { executionId } : {}) };
  return {
    error: { reason, message, metadata, fieldViolations: fieldViolations.map((one) => ({ ...one })), ...optional },
  };
}
