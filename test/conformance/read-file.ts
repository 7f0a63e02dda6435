import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { readJson } from '@signet/predict/python/read-json.ts';
import type { JsonObject } from '@signet/signature/json.ts';

/** Thrown for a file that is no file of cases. */
export class FileError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FileError';
  }
}

const DOCUMENT_CHARACTERS_MAX = 64 * 1024 * 1024;

/** One line of a file: a record, or what is wrong with it and where. */
export type Line = { readonly record: JsonObject } | { readonly fault: string; readonly at: string };

/**
 * The records of a file, one a line, as a stream; a document that spans lines (the hand-made corpus) is one record. What is damaged is
 * told in its place, and what follows a damaged line is read; throws FileError if nothing is there to be read at all.
 */
export async function* readRecords(path: string): AsyncGenerator<Line> {
  let document: string[] | undefined;
  let size = 0;
  let number = 0;
  let seen = 0;
  try {
    for await (const line of readLines(path)) {
      number += 1;
      if (document !== undefined) {
        document.push(line);
        size += line.length;
        if (size > DOCUMENT_CHARACTERS_MAX) throw new FileError(`${path}: the document is too large`);
      } else if (seen === 0 && line.trim() === '{') {
        document = [line];
      } else if (line.trim() !== '') {
        seen += 1;
        yield parse(line, `line ${number}`);
      }
    }
  } catch (error) {
    if (error instanceof FileError || seen === 0) throw new FileError(`${path} cannot be read: ${wordsOf(error)}`);
    yield { fault: `the file breaks off: ${wordsOf(error)}`, at: `line ${number + 1}` };
  }
  if (document !== undefined) yield parse(document.join('\n'), 'line 1');
  else if (seen === 0) throw new FileError(`${path} is empty`);
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// Not node:readline, which ends lines at U+2028 too.
async function* readLines(path: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of open(path).setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

function open(path: string): Readable {
  const file = createReadStream(path);
  if (!path.endsWith('.gz')) return file;
  const unpacked = createGunzip();
  file.on('error', (error) => unpacked.destroy(error));
  return file.pipe(unpacked);
}

function parse(text: string, at: string): Line {
  const read = readJson(text);
  if (typeof read === 'object' && read.value instanceof Map) return { record: read.value as JsonObject };
  return { fault: `no JSON object: ${text.slice(0, 80)}`, at };
}
