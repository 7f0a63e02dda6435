import { invalidField } from '../error/app-error.ts';
import { fieldKey } from './field-name.ts';
import { shown } from './filter-error.ts';
import type { SqlBinder } from './sql-binder.ts';

/** What a field of an order stands for. The column must not be NULL; `cast` is its type in Postgres, such as `timestamptz`. */
export type OrderField = { readonly column: string; readonly cast: string };

/** The fields that an order may name. */
export type OrderFields = Readonly<Record<string, OrderField>>;

/** One term of an order. */
export type OrderTerm = OrderField & { readonly name: string; readonly descending: boolean };

const termsMax = 4;

/**
 * Reads `order_by` such as `create_time desc, name`; empty means `fallback`. The tie-breaker (a unique column) is added at the end,
 * in the direction of the term before it. INVALID_REQUEST for unknown or repeated fields.
 */
export function parseOrderBy(
  text: string,
  fields: OrderFields,
  fallback: string,
  tieBreaker: OrderField & { readonly name: string },
): OrderTerm[] {
  const terms: OrderTerm[] = [];
  for (const part of (text.trim() === '' ? fallback : text).slice(0, 512).split(',')) {
    const [name = '', direction = 'asc', ...rest] = part.trim().split(/\s+/);
    const key = fieldKey(name, fields);
    const field = key === undefined ? undefined : fields[key];
    if (field === undefined) {
      throw invalidField('order_by', `unknown field ${shown(name)}; there are ${Object.keys(fields).join(', ')}`);
    }
    if ((direction !== 'asc' && direction !== 'desc') || rest.length > 0) {
      throw invalidField('order_by', `after ${shown(name)} only \`asc\` or \`desc\` may stand`);
    }
    if (terms.some((term) => term.column === field.column))
      throw invalidField('order_by', `${shown(name)} stands twice`);
    if (terms.length === termsMax) throw invalidField('order_by', `at most ${termsMax} fields are taken`);
    terms.push({ ...field, name, descending: direction === 'desc' });
  }
  if (terms.every((term) => term.column !== tieBreaker.column)) {
    terms.push({ ...tieBreaker, descending: terms.at(-1)!.descending });
  }
  return terms;
}

/** The ORDER BY list of an order. */
export function orderSql(order: readonly OrderTerm[]): string {
  return order.map(({ column, descending }) => `${column} ${descending ? 'desc' : 'asc'}`).join(', ');
}

/** SELECT expressions that give the keys of a row as text, digit for digit, for the page token: `order_key_0`, `order_key_1` … */
export function orderKeysSql(order: readonly OrderTerm[]): string {
  return order.map(({ column }, index) => `(${column})::text as order_key_${index}`).join(', ');
}

/** The condition "after this row" of an order; `keys` are the row's, as text, one a term. */
export function keysetSql(order: readonly OrderTerm[], keys: readonly string[], binder: SqlBinder): string {
  const alternatives = order.map((term, index) => {
    const before = order
      .slice(0, index)
      .map((equal, at) => `${equal.column} = ${binder.bind(keys[at])}::${equal.cast}`);
    const beyond = `${term.column} ${term.descending ? '<' : '>'} ${binder.bind(keys[index])}::${term.cast}`;
    return `(${[...before, beyond].join(' and ')})`;
  });
  return `(${alternatives.join(' or ')})`;
}
