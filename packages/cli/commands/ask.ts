import { fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { MethodDefinition } from '@grpc/grpc-js';
import type { JsonObject } from '@signet/client/json.ts';
import type { Contract, Verb } from '../contract/contract.ts';
import { messageFromJson, messageToJson } from '../contract/message-json.ts';
import { rowsOf } from '../output/printer.ts';
import { withProgress } from '../output/progress.ts';
import type { Session } from '../session.ts';

/** Calls a unary method with a request in JSON and gives its answer in JSON. */
export async function ask(session: Session, contract: Contract, verb: Verb, request: JsonObject): Promise<JsonObject> {
  const message = messageFromJson(verb.desc.input, request, contract.registry);
  const what = `${verb.noun ?? ''} ${verb.verb}`.trim();
  const answer = await withProgress(session.terminal.stderr, what, () =>
    session.client.channel.unary(definitionOf(verb), message, session.call),
  );
  return messageToJson(answer, verb.desc.output, contract.registry);
}

/** Calls a streaming method and gives its messages in JSON as they come. */
export async function* follow(
  session: Session,
  contract: Contract,
  verb: Verb,
  request: JsonObject,
): AsyncGenerator<JsonObject, void> {
  const message = messageFromJson(verb.desc.input, request, contract.registry);
  for await (const one of session.client.channel.stream(definitionOf(verb), message, session.call)) {
    yield messageToJson(one, verb.desc.output, contract.registry);
  }
}

/** Reads a listing to its end and gives all of it as one page. */
export async function askForAll(
  session: Session,
  contract: Contract,
  verb: Verb,
  request: JsonObject,
): Promise<JsonObject> {
  let answer = await ask(session, contract, verb, { pageSize: 1_000, ...request });
  const rows = [...(rowsOf(answer) ?? [])];
  const name = Object.keys(answer).find((key) => key !== 'nextPageToken');
  while (typeof answer.nextPageToken === 'string' && answer.nextPageToken !== '') {
    answer = await ask(session, contract, verb, { pageSize: 1_000, ...request, pageToken: answer.nextPageToken });
    rows.push(...(rowsOf(answer) ?? []));
  }
  return name === undefined ? {} : { [name]: rows };
}

/** A method as the channel calls it. */
export function definitionOf({ desc, path, streams, bodyField }: Verb): MethodDefinition<Message, Message> {
  return {
    ...{ path, requestStream: bodyField !== undefined, responseStream: streams, originalName: desc.localName },
    requestSerialize: (message) => Buffer.from(toBinary(desc.input, message)),
    requestDeserialize: (bytes) => fromBinary(desc.input, bytes),
    responseSerialize: (message) => Buffer.from(toBinary(desc.output, message)),
    responseDeserialize: (bytes) => fromBinary(desc.output, bytes),
  };
}
