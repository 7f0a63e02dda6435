import type { ServerResponse } from 'node:http';
import type { DescMessage } from '@bufbuild/protobuf';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { messageToJson } from './codec/wire-to-json.ts';
import type { HttpExchange } from './exchange.ts';
import { problemOf } from './problem.ts';

/** Writes a stream of answers into a response, piece by piece. */
export type AnswerWriter = {
  /** False if the reader has no room for more. */
  message(bytes: Buffer): boolean;
  /** All was said. */
  end(): void;
  /** The stream broke after its beginning. */
  fail(error: AppError): void;
};

/** Answers as NDJSON: one a line; a failure after the beginning is the last line, `{"error": problem}`. */
export function jsonLines(exchange: HttpExchange, response: ServerResponse, desc: DescMessage): AnswerWriter {
  const open = (): void => {
    if (response.headersSent) return;
    const type = { 'content-type': 'application/x-ndjson', 'x-accel-buffering': 'no' };
    response.writeHead(200, { ...exchange.answerHeaders(), ...type });
  };
  return {
    message(bytes) {
      open();
      return response.write(`${oneLine(messageToJson(desc, bytes).json)}\n`);
    },
    end() {
      open();
      response.end();
    },
    fail(error) {
      const problem = problemOf(exchange.failed(error), exchange.traceId);
      response.end(`${JSON.stringify({ error: problem })}\n`);
    },
  };
}

// A raw line break in JSON can only be white space.
function oneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.replace(/[\r\n]+/g, ' ') : json;
}
