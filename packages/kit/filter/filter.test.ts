import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from './compile-filter.ts';
import { keysetSql, orderSql, parseOrderBy } from './order-by.ts';
import { parseFilter } from './parse-filter.ts';
import { createBinder } from './sql-binder.ts';

const fields: FilterFields = {
  id: { column: 'p.id', type: 'uuid' },
  name: { column: 'p.name', type: 'text' },
  status: {
    column: 'p.status',
    type: 'enum',
    values: enumValues('PROGRAM_STATUS_', ['draft', 'ready'], { active: 'ready' }),
  },
  size: { column: 'p.size', type: 'int' },
  create_time: { column: 'p.create_time', type: 'timestamp' },
  labels: { column: 'p.labels', type: 'labels' },
};

function compile(text: string): { sql: string; values: unknown[] } {
  const binder = createBinder();
  const filter = parseFilter(text);
  return { sql: filter === undefined ? '' : compileFilter(filter, fields, binder), values: binder.values };
}

function refusal(run: () => unknown): AppError {
  try {
    run();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('list filters', () => {
  it('bind every value and name no column but ours', () => {
    expect(compile('status = active AND (name : "qa" OR NOT size >= 3)')).toEqual({
      sql: '(p.status = $1 and (position(lower($2::text) in lower(p.name)) > 0 or ((p.size >= $3::bigint) is not true)))',
      values: ['ready', 'qa', '3'],
    });
  });

  it('take short and full enum names in any case', () => {
    for (const value of ['ready', 'READY', 'PROGRAM_STATUS_READY', 'active']) {
      expect(compile(`status = ${value}`).values).toEqual(['ready']);
    }
  });

  it('look into labels by key, with dots and dashes in it, and ask whether one is there', () => {
    expect(compile("labels.my-team.x = 'search'")).toEqual({
      sql: '(p.labels ->> $1::text) = $2::text',
      values: ['my-team.x', 'search'],
    });
    expect(compile('labels:team').sql).toBe('(p.labels ->> $1::text) is not null');
    expect(compile('labels.team:*')).toEqual(compile('labels:team'));
  });

  it('take every operator on texts, labels too', () => {
    expect(compile('name > "list2" AND labels.team <= b')).toEqual({
      sql: '(p.name > $1::text and (p.labels ->> $2::text) <= $3::text)',
      values: ['list2', 'team', 'b'],
    });
  });

  it('take fields as JSON spells them too, but no label key and nothing of Object', () => {
    expect(compile('createTime > "2026-01-01"')).toEqual(compile('create_time > "2026-01-01"'));
    expect(compile('labels.myTeam = x').values).toEqual(['myTeam', 'x']);
    for (const name of ['Name', 'createTime2', 'hasOwnProperty', '__proto__'])
      expect(refusal(() => compile(`${name} = x`)).reason).toBe('FILTER_SYNTAX');
  });

  it('bind AND tighter than OR', () => {
    expect(compile('size = 1 OR size = 2 AND size = 3').sql).toBe(
      '(p.size = $1::bigint or (p.size = $2::bigint and p.size = $3::bigint))',
    );
  });

  it('are nothing if they are empty', () => {
    expect(parseFilter('  ')).toBeUndefined();
  });

  it.each([
    ['status =', 9, 'expected a value'],
    ['= ready', 1, 'expected a field'],
    ['status ready', 8, 'expected ='],
    ['status = ready and name = x', 16, 'expected AND, OR or the end'],
    ['(status = ready', 1, 'not closed'],
    ['status = ready)', 15, 'not opened'],
    ['status = "ready', 10, 'does not end'],
    ['status = broken', 10, 'unknown value'],
    ['status > ready', 1, 'takes =, !='],
    ['size = 1e999', 8, 'not a whole number'],
    ['id = 7', 6, 'not an id'],
    ['create_time > yesterday', 15, 'not a time'],
    ['create_time > "2026-13-45T99:00:00Z"', 15, 'not a time'],
    ['create_time > "0000-06-01T00:00:00Z"', 15, 'not a time'],
    ['create_time < "9999-12-31T23:59:59-05:00"', 15, 'not a time'],
    ['secret = 1', 1, 'unknown field'],
    ['__proto__ = 1', 1, 'unknown field'],
    ['constructor = 1', 1, 'unknown field'],
    ['name.x = 1', 1, 'unknown field'],
    ['labels. = 1', 1, 'has a key'],
    ['status = toString', 10, 'unknown value'],
    ['name = "a\\n"', 10, 'backslash'],
    ['name = "\u0000"', 1, '\\u0000'],
    ['name = "\ud800"', 1, 'surrogate'],
  ])('refuse %j at column %i', (text, column, problem) => {
    const error = refusal(() => compile(text));
    expect(error.reason).toBe('FILTER_SYNTAX');
    expect(error.message).toContain(problem);
    expect(error.metadata.position).toBe(String(column));
  });

  it.each([
    `name = "x' OR 1=1 --"`,
    `name = 'x"; drop table programs; --'`,
    `labels.a'b = 1`,
    `name = x;drop`,
    `"p.secret" = 1`,
    `p.secret = 1`,
    `labels.$1 = $2`,
  ])('keep %j out of the text of the statement', (text) => {
    try {
      const { sql } = compile(text);
      expect(sql).not.toMatch(/drop|secret|--|1=1|;/);
    } catch (error) {
      expect((error as AppError).reason).toBe('FILTER_SYNTAX');
    }
  });

  it('bound their length, depth and number of comparisons', () => {
    expect(refusal(() => parseFilter('x'.repeat(2049))).message).toContain('2048');
    expect(refusal(() => parseFilter(`${'('.repeat(20)}size = 1${')'.repeat(20)}`)).message).toContain('levels');
    expect(refusal(() => parseFilter(`${'NOT '.repeat(20)}size = 1`)).message).toContain('levels');
    expect(refusal(() => parseFilter(Array(65).fill('size = 1').join(' OR '))).message).toContain('comparisons');
  });

  it('answer any text with a tree or FILTER_SYNTAX, and put no text of it into the statement', () => {
    const known = /^[a-z_ .()$0-9<>=:!-]*$/;
    const piece = fc.constantFrom(
      'status',
      'name',
      ' = ',
      ':',
      '(',
      ')',
      ' AND ',
      ' OR ',
      'NOT ',
      '"',
      "'",
      '\\',
      'x',
      '1',
      ';',
      '$1',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(piece).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            expect(compile(text).sql).toMatch(known);
          } catch (error) {
            expect((error as AppError).reason).toBe('FILTER_SYNTAX');
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('orders', () => {
  const orderFields = {
    create_time: { column: 'p.create_time', cast: 'timestamptz' },
    name: { column: 'p.name', cast: 'text' },
  };
  const id = { name: 'id', column: 'p.id', cast: 'uuid' };

  it('end in the tie-breaker, in the direction of the last term', () => {
    expect(orderSql(parseOrderBy('', orderFields, 'create_time desc', id))).toBe('p.create_time desc, p.id desc');
    expect(orderSql(parseOrderBy('name, create_time desc', orderFields, '', id))).toBe(
      'p.name asc, p.create_time desc, p.id desc',
    );
  });

  it('go on after a row by keyset, directions mixed', () => {
    const binder = createBinder('numbered', 2);
    const order = parseOrderBy('name asc, create_time desc', orderFields, '', id);
    expect(keysetSql(order, ['a', 't', 'i'], binder)).toBe(
      '((p.name > $3::text) or (p.name = $4::text and p.create_time < $5::timestamptz) or ' +
        '(p.name = $6::text and p.create_time = $7::timestamptz and p.id < $8::uuid))',
    );
    expect(binder.values).toEqual(['a', 'a', 't', 'a', 't', 'i']);
  });

  it.each(['secret', 'name up', 'name desc desc', 'name, name', 'name,', '__proto__', 'name; drop table x'])(
    'refuse %j',
    (text) => {
      expect(refusal(() => parseOrderBy(text, orderFields, 'name', id)).reason).toBe('INVALID_REQUEST');
    },
  );
});
