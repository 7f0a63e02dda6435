import type { JsonObject, JsonValue } from '@signet/client/json.ts';
import { Command } from 'commander';
import { commentOf, firstSentence } from '../contract/comments.ts';
import type { Contract, Verb } from '../contract/contract.ts';
import { type FieldOption, fieldOption } from '../contract/field-option.ts';
import { kebab } from '../contract/verb-name.ts';
import { eventLine } from '../output/event-line.ts';
import { rowsOf } from '../output/printer.ts';
import { addSharedOptions, type Session, sharedNames } from '../session.ts';
import { ask, askForAll, follow } from './ask.ts';
import { contentTypeOf, exchange, sendIn } from './stream-in.ts';
import { download } from './stream-out.ts';

/** Opens the session of a command and runs it; ends the process with the right code. */
export type Run = (command: Command, work: (session: Session) => Promise<void>) => Promise<void>;

const NOUN_ALIASES: Readonly<Record<string, string>> = { 'api-keys': 'keys', 'language-models': 'models' };
const VERB_ALIASES: Readonly<Record<string, string>> = { initialize: 'init', list: 'ls', delete: 'rm' };

/** Adds a command for each method of the contract: `programs create`, `keys rotate`, `me` … */
export function addContractCommands(root: Command, contract: Contract, run: Run): void {
  for (const verb of contract.verbs) {
    const parent = verb.noun === undefined ? root : nounCommand(root, verb.noun);
    if (parent.commands.some((known) => known.name() === verb.verb)) continue;
    parent.addCommand(verbCommand(contract, verb, run));
  }
}

function nounCommand(root: Command, noun: string): Command {
  const name = NOUN_ALIASES[noun] ?? noun;
  const known = root.commands.find((command) => command.name() === name);
  if (known !== undefined) return known;
  const command = new Command(name).description(`work with ${noun.replaceAll('-', ' ')}`).helpGroup('Resources:');
  if (name !== noun) command.alias(noun);
  root.addCommand(command);
  return command;
}

function verbCommand(contract: Contract, verb: Verb, run: Run): Command {
  const { desc } = verb;
  const comment = commentOf(desc);
  const command = new Command(verb.verb).summary(firstSentence(comment)).description(comment);
  const alias = VERB_ALIASES[verb.verb];
  if (alias !== undefined) command.alias(alias);
  if (verb.noun === undefined) command.helpGroup('Resources:');
  for (const name of verb.positionals) {
    const field = desc.input.fields.find((one) => one.name === name);
    command.argument(`<${kebab(name)}>`, field === undefined ? '' : commentOf(field).replace(/\.$/, ''));
  }
  const fields = desc.input.fields.filter((one) => !verb.positionals.includes(one.name) && one !== verb.bodyField);
  const options = fields.map((field) => fieldOption(field, sharedNames));
  for (const { option } of options) command.addOption(option);
  const isList = desc.input.fields.some(({ name }) => name === 'page_token');
  if (isList) command.option('--all', 'read every page');
  if (verb.bodyField !== undefined) command.option('--file <path>', `${rowsIn(verb)}; standard input if left out`);
  if (verb.isDownload) command.option('--output <path>', 'the file to write; standard output if left out');
  addSharedOptions(command);
  return command.action((...args) =>
    run(command, async (session) => {
      const request = await readRequest(session, verb, options, args.slice(0, verb.positionals.length), command.opts());
      if (verb.bodyField !== undefined) return sendRows(session, contract, verb, request, command.opts());
      if (verb.isDownload) return download(session, contract, verb, request, command.opts().output);
      if (verb.streams) {
        for await (const message of follow(session, contract, verb, request)) {
          session.printer.item(message, () => eventLine(message));
        }
        return;
      }
      const isAll = isList && command.opts().all === true;
      show(session, verb, await (isAll ? askForAll : ask)(session, contract, verb, request));
    }),
  );
}

function rowsIn({ bodyField }: Verb): string {
  return bodyField?.fieldKind === 'message' ? 'NDJSON, one object a line' : 'the file, such as rows.ndjson or rows.csv';
}

async function sendRows(
  session: Session,
  contract: Contract,
  verb: Verb,
  request: JsonObject,
  { file }: { readonly file?: string },
): Promise<void> {
  const source = { file };
  if (!verb.streams) {
    const takesType = verb.desc.input.fields.some(({ name }) => name === 'content_type');
    const contentType = contentTypeOf(source);
    const typed = takesType && contentType !== '' ? { contentType, ...request } : request;
    return show(session, verb, await sendIn(session, contract, verb, typed, source));
  }
  for await (const message of exchange(session, contract, verb, request, source)) session.printer.jsonLine(message);
}

async function readRequest(
  session: Session,
  verb: Verb,
  options: readonly FieldOption[],
  positionals: readonly string[],
  given: Readonly<Record<string, unknown>>,
): Promise<JsonObject> {
  const request: Record<string, JsonValue> = {};
  for (const [at, name] of verb.positionals.entries()) {
    const field = verb.desc.input.fields.find((one) => one.name === name);
    request[field?.jsonName ?? name] = positionals[at] ?? '';
  }
  for (const { field, option, read } of options) {
    const value = given[option.attributeName()];
    if (value !== undefined) request[field.jsonName] = await read(session.terminal, value);
  }
  return request;
}

function show({ printer }: Session, verb: Verb, answer: JsonObject): void {
  const isEmpty = Object.keys(answer).length === 0;
  const rows = rowsOf(answer);
  if (printer.isJson || !isEmpty) printer.document(answer);
  if (printer.isJson) return;
  if (verb.desc.output.typeName === 'google.protobuf.Empty') printer.note('done');
  else if (isEmpty || rows?.length === 0) printer.note('none');
  const { nextPageToken } = answer;
  if (typeof nextPageToken === 'string' && nextPageToken !== '') {
    printer.note(`there is more: --all, or --page-token ${nextPageToken}`);
  }
  if (typeof answer.secret === 'string') printer.note('the secret is shown this once and kept nowhere');
}
