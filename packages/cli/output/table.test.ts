import type { JsonObject } from '@signet/client/json.ts';
import { expect, it } from 'vitest';
import { createPaint } from './paint.ts';
import { cellText, clean, recordLines, tableLines } from './table.ts';

const plain = createPaint({ isTTY: false }, {});

it('paints on a terminal, and nowhere else', () => {
  expect(createPaint({ isTTY: true }, {})('good', 'ready')).toBe('\u001b[32mready\u001b[0m');
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    expect(createPaint({ isTTY: true }, env)('good', 'ready')).toBe('ready');
  }
  expect(plain('bad', 'failed')).toBe('failed');
});

it('shows what could steer a terminal instead of obeying it', () => {
  expect(clean('a\u001b[2Jb\u0007\u009b31m\r\u007fc\n')).toBe('a\\u001b[2Jb\\u0007\\u009b31m\\u000d\\u007fc\n');
  expect(recordLines({ name: 'x\u001b]0;title\u0007' }, plain)).toEqual(['name  x\\u001b]0;title\\u0007']);
  expect(tableLines([{ name: '\u001b[31m' }], plain)).toEqual(['name', '\\u001b[31m']);
  expect(recordLines({ '\u001b[31m': { deep: '\u009b' } }, plain).join('')).toBe('\\u001b[31m  {"deep":"\\u009b"}');
});

it('writes a table of the columns that tell rows apart, and a record of what is not empty', () => {
  const rows: JsonObject[] = [
    {
      id: '1',
      slug: 'qa',
      name: 'Questions',
      status: 'PROGRAM_STATUS_READY',
      createTime: '2026-01-02T03:04:05.678Z',
      etag: 'x',
    },
    {
      id: '2',
      slug: 'long',
      name: 'n'.repeat(80),
      status: 'PROGRAM_STATUS_ERROR',
      createTime: '2026-01-02T03:04:06Z',
      labels: {},
    },
  ];
  const [head, first, second] = tableLines(rows, plain);
  expect(head).toMatch(/^slug +name +status +createTime$/);
  expect(first).toMatch(/^qa +Questions +ready +2026-01-02 03:04:05$/);
  expect(second).toContain(`${'n'.repeat(47)}…`);
  expect(recordLines({ a: '', b: [], c: 0, description: 'one\ntwo' }, plain)).toEqual([
    'c            0',
    'description  one',
    '             two',
  ]);
});

it('leaves texts alone that only look like an enum', () => {
  expect(cellText('status', 'EXECUTION_STATUS_FAILED')).toBe('failed');
  expect(cellText('adapterType', 'ADAPTER_TYPE_PYTHON_PORT')).toBe('python_port');
  expect(cellText('name', 'MY_NAME')).toBe('MY_NAME');
  expect(cellText('answer', 'ROLE_playing')).toBe('ROLE_playing');
});
