import { fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { MethodDefinition } from '@grpc/grpc-js';
import type { JsonObject } from '@signet/client/json.ts';
import { reopened } from '@signet/client/reopen.ts';
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
  return messageToJson(answer, verb.desc.output, contract.registry, session.printer.isJson);
}

/**
 * Calls a streaming method and gives its messages in JSON as they come. What is watched goes on after a lost connection, behind the last
 * message where the method can.
 */
export async function* follow(
  session: Session,
  contract: Contract,
  verb: Verb,
  request: JsonObject,
): AsyncGenerator<JsonObject, void> {
  const { registry } = contract;
  const hasPlace = verb.desc.input.fields.some(({ name }) => name === 'after_sequence');
  let asked = request;
  const open = () =>
    session.client.channel.stream(definitionOf(verb), messageFromJson(verb.desc.input, asked, registry), session.call);
  for await (const one of verb.verb === 'watch' ? reopened(open, session.call) : open()) {
    const json = messageToJson(one, verb.desc.output, registry, session.printer.isJson);
    if (hasPlace && json.sequence !== undefined) asked = { ...request, afterSequence: json.sequence };
    yield json;
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
