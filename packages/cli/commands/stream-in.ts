import { open as openFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { DescField, Message } from '@bufbuild/protobuf';
import { type JsonObject, type JsonValue, parseJson } from '@signet/client/json.ts';
import type { Contract, Verb } from '../contract/contract.ts';
import { messageFromJson, messageToJson } from '../contract/message-json.ts';
import type { Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { definitionOf } from './ask.ts';

/** Where streamed requests come from: a file, or standard input. */
export type Source = { readonly file: string | undefined };

/** Calls a method with the rows of a source and gives its one answer in JSON. */
export async function sendIn(
  session: Session,
  contract: Contract,
  verb: Verb,
  request: JsonObject,
  source: Source,
): Promise<JsonObject> {
  const requests = requestsOf(session.terminal, contract, verb, request, source);
  const answer = await session.client.channel.upload(definitionOf(verb), requests, session.call);
  return messageToJson(answer, verb.desc.output, contract.registry, session.printer.isJson);
}

/** Calls a method with the rows of a source and gives its answers in JSON as they come. */
export async function* exchange(
  session: Session,
  contract: Contract,
  verb: Verb,
  request: JsonObject,
  source: Source,
): AsyncGenerator<JsonObject, void> {
  const requests = requestsOf(session.terminal, contract, verb, request, source);
  for await (const one of session.client.channel.duplex(definitionOf(verb), requests, session.call)) {
    yield messageToJson(one, verb.desc.output, contract.registry, true);
  }
}

/** What a file's name says of its content; empty where it says nothing. */
export function contentTypeOf({ file = '' }: Source): string {
  const types: Readonly<Record<string, string>> = { '.csv': 'text/csv', '.ndjson': ndjson, '.jsonl': ndjson };
  return types[extname(file).toLowerCase()] ?? '';
}

const ndjson = 'application/x-ndjson';

async function* requestsOf(
  terminal: Terminal,
  contract: Contract,
  { desc, bodyField }: Verb,
  request: JsonObject,
  source: Source,
): AsyncGenerator<Message, void> {
  const make = (json: JsonObject): Message => messageFromJson(desc.input, json, contract.registry);
  yield make(request);
  for await (const value of bodyField!.fieldKind === 'message' ? lines(terminal, source) : pieces(terminal, source)) {
    yield make({ [(bodyField as DescField).jsonName]: value });
  }
}

async function* lines(terminal: Terminal, source: Source): AsyncGenerator<JsonValue, void> {
  let number = 0;
  const input = await open(terminal, source);
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    if (line.trim() === '') continue;
    try {
      yield parseJson(line);
    } catch (error) {
      throw new UsageError(`line ${number} is no JSON: ${(error as Error).message}`);
    }
  }
}

async function* pieces(terminal: Terminal, source: Source): AsyncGenerator<JsonValue, void> {
  // Protobuf's JSON has no other way to say bytes.
  for await (const piece of await open(terminal, source)) yield (piece as Buffer).toString('base64');
}

async function open({ stdin, cwd }: Terminal, { file }: Source): Promise<NodeJS.ReadableStream> {
  if (file === undefined || file === '-') return stdin;
  try {
    const opened = await openFile(resolve(cwd, file));
    if ((await opened.stat()).isDirectory()) {
      await opened.close();
      throw new UsageError(`${file} is a folder`);
    }
    return opened.createReadStream();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new UsageError(`${file} cannot be read (${code})`);
  }
}
