import type { JsonObject, JsonValue } from '@signet/client/json.ts';
import { writeJson } from '@signet/client/json.ts';
import { type Paint, styleOf } from './paint.ts';

const CELL_MAX = 48;
const COLUMNS_MAX = 8;
// In this order, as far as a resource has them.
const PREFERRED = [
  ...[
    'slug',
    'id',
    'number',
    'index',
    'position',
    'executionId',
    'name',
    'module',
    'program',
    'type',
    'version',
    'dataset',
  ],
  ...['status', 'state', 'role', 'prefix', 'engine', 'adapterType', 'step', 'split', 'score', 'best', 'mean'],
  ...['itemCount', 'completedCount', 'failedCount', 'exampleCount', 'resultCount', 'errorCount', 'source', 'serving'],
  ...['scoreBefore', 'scoreAfter', 'resultVersion', 'label', 'note'],
  ...['provider', 'model', 'actor', 'operation', 'resourceName', 'durationMs', 'example', 'revokeTime', 'expireTime'],
  ...['error', 'createTime', 'description', 'inputs', 'outputs'],
];
// Where these are cut they cannot be typed.
const WHOLE = ['slug', 'id'];

/** Lines of a table of resources: the columns that tell them apart, cut to fit. */
export function tableLines(given: readonly JsonObject[], paint: Paint): string[] {
  const rows = given.map(withFigures);
  const present = PREFERRED.filter((name) => rows.some((row) => isShown(name, row[name])));
  // A slug says as much as an id and can be typed.
  const columns = present.filter((name) => name !== 'id' || !present.includes('slug')).slice(0, COLUMNS_MAX);
  const shown = columns.length > 0 ? columns : Object.keys(rows[0] ?? {}).slice(0, COLUMNS_MAX);
  const cells = rows.map((row) => shown.map((name) => cut(name, shortText(name, row[name]))));
  const widths = shown.map((name, at) => Math.max(name.length, ...cells.map((row) => row[at]!.length)));
  const line = (row: readonly string[], style: (text: string, at: number) => string): string =>
    row
      .map((text, at) => style(text.padEnd(widths[at]!), at))
      .join('  ')
      .trimEnd();
  return [
    line(shown, (text) => paint('dim', text)),
    ...cells.map((row) => line(row, (text, at) => (isState(shown[at]!) ? paint(styleOf(text.trim()), text) : text))),
  ];
}

/** Lines of one resource: a name and a value each; what is empty is left out. */
export function recordLines(record: JsonObject, paint: Paint): string[] {
  const entries = Object.entries(record)
    .filter(([, value]) => !isEmpty(value))
    .map(([name, value]) => [clean(name), value] as const);
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  return entries.flatMap(([name, value]) => {
    const text = cellText(name, value);
    const painted = isState(name) ? paint(styleOf(text), text) : text;
    const [first = '', ...more] = painted.split('\n');
    const indent = ' '.repeat(width + 2);
    return [`${paint('dim', name.padEnd(width))}  ${first}`, ...more.map((line) => indent + line)];
  });
}

/** What has a summary, with the figures of it beside its own fields. */
export function withFigures(row: JsonObject): JsonObject {
  return isRecord(row.summary) ? { ...row, ...row.summary } : row;
}

/** A value in few words: enums short, times without fractions, what has parts as JSON. Control characters are shown, not obeyed. */
export function cellText(name: string, value: JsonValue | undefined): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'object') return clean(writeJson(value));
  const text = clean(String(value));
  if (/Time$|At$/.test(name)) return text.replace('T', ' ').replace(/(?:\.\d+)?Z$/, '');
  return isEnum(text) ? text.replace(enumPrefix, '').toLowerCase() : text;
}

/** A text that a stranger wrote, without what could steer a terminal. */
export function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, escaped);
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

const enumPrefix = /^(?:[A-Z]+_)*?(?:STATUS|STATE|TYPE|ROLE|ENGINE|PROVIDER|SPLIT|KIND|SOURCE)_/;

function isEnum(text: string): boolean {
  return enumPrefix.test(text) && /^[A-Z_0-9]+$/.test(text);
}

function isState(name: string): boolean {
  return name === 'status' || name === 'state';
}

function isEmpty(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

// The fields of signatures are called inputs too, and an optimizer's state is no state of its own.
function isShown(name: string, value: JsonValue | undefined): boolean {
  if (['inputs', 'outputs', 'error'].includes(name)) return isRecord(value);
  return value !== undefined && !isRecord(value);
}

function shortText(name: string, value: JsonValue | undefined): string {
  return cellText(name, name === 'error' && isRecord(value) ? value.reason : value);
}

function isRecord(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function cut(name: string, text: string): string {
  const line = text.replace(/\s+/g, ' ');
  return line.length > CELL_MAX && !WHOLE.includes(name) ? `${line.slice(0, CELL_MAX - 1)}…` : line;
}
