import { type DescField, ScalarType } from '@bufbuild/protobuf';
import type { JsonValue } from '@signet/client/json.ts';
import { Option } from 'commander';
import { readJson, readText, splitPair } from '../read-value.ts';
import type { Terminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { commentOf } from './comments.ts';
import { enumChoices } from './message-json.ts';
import { kebab } from './verb-name.ts';

// As wide as `all_or_nothing|keep_good`, with some air.
const choicesMax = 40;

/** A field of a request as an option of a command. */
export type FieldOption = {
  readonly field: DescField;
  readonly option: Option;
  /** The field's value out of what was given. */
  read(terminal: Terminal, given: unknown): Promise<JsonValue>;
};

/** The option of a field. Its name gets `field-` in front where the command has one of that name already. */
export function fieldOption(field: DescField, taken: ReadonlySet<string>): FieldOption {
  const isTaken = taken.has(field.localName);
  const name = `--${isTaken ? 'field-' : ''}${kebab(field.name)}`;
  const option = new Option(`${name}${placeholder(field)}`, describe(field));
  if (field.fieldKind === 'list' || field.fieldKind === 'map') option.argParser(collect);
  return { field, option, read: (terminal, given) => readField(terminal, field, given, name) };
}

function placeholder(field: DescField): string {
  if (field.fieldKind === 'map') return ' <key=value>';
  if (field.fieldKind === 'message') {
    if (field.message.typeName === 'google.protobuf.Timestamp') return ' <time>';
    return field.message.typeName === 'google.protobuf.FieldMask' ? ' <fields>' : ' <json|@file>';
  }
  if (field.enum !== undefined) return ` <${choicesOf(field) ?? 'name'}>`;
  if (field.fieldKind === 'list') return field.listKind === 'message' ? ' <json|@file>' : ' <value>';
  if (field.scalar === ScalarType.BOOL) return ' [true|false]';
  return field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES ? ' <text>' : ' <number>';
}

function describe(field: DescField): string {
  const comment = commentOf(field).replace(/\.$/, '');
  const isMany = field.fieldKind === 'list' || field.fieldKind === 'map';
  const isLong = field.enum !== undefined && choicesOf(field) === undefined;
  const choices = isLong ? `: ${enumChoices(field.enum).join(', ')}` : '';
  const told = `${choices}${keysOf(field)}${isMany ? ' (repeatable)' : ''}`;
  return `${comment.charAt(0).toLowerCase()}${comment.slice(1)}${told}`;
}

/** What the JSON of an option may hold, unless anything. */
function keysOf({ message }: DescField): string {
  if (message === undefined || message.typeName.startsWith('google.protobuf.')) return '';
  const keys = message.fields.map(({ jsonName }) => jsonName).join(', ');
  return message.name === 'Payload' ? '' : `: {${keys}}`;
}

/** The names that an option takes, if they fit into the first column of a help. */
function choicesOf(field: DescField): string | undefined {
  const choices = field.enum === undefined ? '' : enumChoices(field.enum).join('|');
  return choices.length > 0 && choices.length <= choicesMax ? choices : undefined;
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

async function readField(terminal: Terminal, field: DescField, given: unknown, name: string): Promise<JsonValue> {
  if (field.fieldKind === 'map') {
    return Object.fromEntries((given as string[]).map((pair) => splitPair(pair, name)));
  }
  if (field.fieldKind === 'list') {
    const values = given as string[];
    if (field.listKind === 'message') return Promise.all(values.map((value) => readJson(terminal, value, name)));
    return values.map((value) => scalar(field, value, name));
  }
  if (field.fieldKind === 'message') {
    const type = field.message.typeName;
    const isText = type === 'google.protobuf.Timestamp' || type === 'google.protobuf.FieldMask';
    return isText ? String(given) : readJson(terminal, String(given), name);
  }
  // Long texts may stand in files.
  const isText = field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING;
  return scalar(field, isText ? await readText(terminal, String(given)) : given, name);
}

function scalar(field: DescField, given: unknown, name: string): JsonValue {
  const text = String(given);
  if (field.enum !== undefined || field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES) return text;
  if (field.scalar === ScalarType.BOOL) {
    if (given === true || text === 'true') return true;
    if (text === 'false') return false;
    throw new UsageError(`${name} must be true or false, not \`${text}\``);
  }
  if (text.trim() === '' || !Number.isFinite(Number(text)))
    throw new UsageError(`${name} must be a number, not \`${text}\``);
  // 64 bits do not fit into a double.
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(Number(text)) ? BigInt(text) : Number(text);
}
