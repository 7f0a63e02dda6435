import { isId } from '../id.ts';
import type { Comparison, Filter, Operator } from './ast.ts';
import { fieldKey } from './field-name.ts';
import { filterError, shown } from './filter-error.ts';
import type { SqlBinder } from './sql-binder.ts';

/** What a field of a filter stands for. `column` is SQL of ours, never of a caller. */
export type FilterField =
  | { readonly column: string; readonly type: 'text' | 'uuid' | 'int' | 'float' | 'bool' | 'timestamp' | 'labels' }
  | {
      readonly column: string;
      readonly type: 'enum';
      /** What is stored, by what callers may write; compared without regard to case. */
      readonly values: Readonly<Record<string, string>>;
    };

/** The fields that a filter may name. */
export type FilterFields = Readonly<Record<string, FilterField>>;

/**
 * The spellings of an enum: each stored short name as it is and as its full proto name (`prefix` + upper case), and synonyms such
 * as `active` for `ready`.
 */
export function enumValues(
  prefix: string,
  stored: readonly string[],
  synonyms: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const values: Record<string, string> = {};
  for (const name of stored) {
    values[name] = name;
    values[`${prefix}${name}`.toLowerCase()] = name;
  }
  return { ...values, ...synonyms };
}

/**
 * Compiles a filter to a condition in SQL. Each value becomes a placeholder of the binder; columns come from `fields` alone. NULL
 * is a value like others: it equals nothing, and NOT turns every answer round. FILTER_SYNTAX, with the column of the filter, for
 * fields, operators and values that do not fit.
 */
export function compileFilter(filter: Filter, fields: FilterFields, binder: SqlBinder): string {
  if (filter.kind === 'compare') return compileComparison(filter, fields, binder);
  if (filter.kind === 'not') return `((${compileFilter(filter.term, fields, binder)}) is not true)`;
  const word = filter.kind === 'and' ? ' and ' : ' or ';
  return `(${filter.terms.map((term) => compileFilter(term, fields, binder)).join(word)})`;
}

function compileComparison(comparison: Comparison, fields: FilterFields, binder: SqlBinder): string {
  const { operator, value, at, valueAt } = comparison;
  const dot = comparison.field.indexOf('.');
  const name = dot < 0 ? comparison.field : comparison.field.slice(0, dot);
  const key = fieldKey(name, fields);
  const field = key === undefined ? undefined : fields[key];
  if (field === undefined || (dot >= 0 && field.type !== 'labels')) {
    throw filterError(at, `unknown field ${shown(comparison.field)}; there are ${Object.keys(fields).join(', ')}`);
  }
  const { column } = field;
  switch (field.type) {
    case 'labels':
      return compileLabel(comparison, column, dot < 0 ? undefined : comparison.field.slice(dot + 1), binder);
    case 'text':
      return compileText(column, comparison, binder);
    case 'enum':
      allow(comparison, ['=', '!=']);
      return equality(column, operator, binder.bind(enumValue(field.values, value, valueAt)));
    case 'uuid': {
      allow(comparison, ['=', '!=']);
      const id = value.toLowerCase();
      if (!isId(id)) throw filterError(valueAt, `${shown(value)} is not an id`);
      return equality(column, operator, `${binder.bind(id)}::uuid`);
    }
    case 'bool':
      allow(comparison, ['=', '!=']);
      if (value !== 'true' && value !== 'false') throw filterError(valueAt, `${shown(value)} is not true or false`);
      return equality(column, operator, `${binder.bind(value)}::boolean`);
    default:
      return compileOrdered(column, field.type, comparison, binder);
  }
}

function compileLabel(comparison: Comparison, column: string, key: string | undefined, binder: SqlBinder): string {
  if (key === undefined) {
    allow(comparison, [':']);
    return `(${column} ->> ${binder.bind(comparison.value)}::text) is not null`;
  }
  if (key === '') throw filterError(comparison.at, 'a label has a key, such as labels.team');
  if (comparison.operator === ':' && comparison.value === '*') {
    return `(${column} ->> ${binder.bind(key)}::text) is not null`;
  }
  return compileText(`(${column} ->> ${binder.bind(key)}::text)`, comparison, binder);
}

function compileText(column: string, comparison: Comparison, binder: SqlBinder): string {
  const placeholder = `${binder.bind(comparison.value)}::text`;
  if (comparison.operator === ':') return `position(lower(${placeholder}) in lower(${column})) > 0`;
  return comparing(column, comparison.operator, placeholder);
}

const integer = /^-?\d{1,18}$/;
const decimal = /^-?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,2})?$/;
const instant = /^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2}))?$/;

function compileOrdered(
  column: string,
  type: 'int' | 'float' | 'timestamp',
  comparison: Comparison,
  binder: SqlBinder,
): string {
  const { operator, value, valueAt } = comparison;
  allow(comparison, ['=', '!=', '<', '<=', '>', '>=']);
  let placeholder: string;
  if (type === 'int') {
    if (!integer.test(value)) throw filterError(valueAt, `${shown(value)} is not a whole number`);
    placeholder = `${binder.bind(value)}::bigint`;
  } else if (type === 'float') {
    if (!decimal.test(value)) throw filterError(valueAt, `${shown(value)} is not a number`);
    placeholder = `${binder.bind(value)}::numeric`;
  } else {
    const time = instant.test(value) ? new Date(value) : undefined;
    // Postgres has no year 0, and a zone can lead beyond 9999.
    const year = time?.getUTCFullYear() ?? Number.NaN;
    if (time === undefined || !(year >= 1 && year <= 9999)) {
      throw filterError(valueAt, `${shown(value)} is not a time such as "2026-01-31T12:00:00Z"`);
    }
    placeholder = `${binder.bind(time.toISOString())}::timestamptz`;
  }
  return comparing(column, operator, placeholder);
}

function comparing(column: string, operator: Operator, placeholder: string): string {
  return operator === '=' || operator === '!='
    ? equality(column, operator, placeholder)
    : `${column} ${operator} ${placeholder}`;
}

function equality(column: string, operator: Operator, placeholder: string): string {
  return operator === '!=' ? `${column} is distinct from ${placeholder}` : `${column} = ${placeholder}`;
}

function enumValue(values: Readonly<Record<string, string>>, value: string, at: number): string {
  const key = value.toLowerCase();
  if (Object.hasOwn(values, key)) return values[key]!;
  throw filterError(at, `unknown value ${shown(value)}; there are ${[...new Set(Object.values(values))].join(', ')}`);
}

function allow(comparison: Comparison, operators: readonly Operator[]): void {
  if (operators.includes(comparison.operator)) return;
  throw filterError(comparison.at, `${shown(comparison.field)} takes ${operators.join(', ')}`);
}
