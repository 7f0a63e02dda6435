import { expect, it } from 'vitest';
import { eventLine } from './event-line.ts';
import { createPaint } from './paint.ts';
import { tableLines } from './table.ts';

it('tells an event in one line: what happened and how far it is, without what never changes', () => {
  const batch = {
    id: 'x',
    program: 'qa',
    status: 'BATCH_STATUS_RUNNING',
    itemCount: '60',
    completedCount: '0',
    etag: 'e',
  };
  expect(
    eventLine({ sequence: '1', progress: { ...batch, executionOptions: {}, createTime: '2026-01-02T03:04:05Z' } }),
  ).toBe('progress  program qa  status running  itemCount 60  completedCount 0');
  expect(eventLine({ sequence: '2', log: { level: 'info', text: 'two\nlines\u001b[2J' }, createTime: 'z' })).toBe(
    'log  level info  text two lines\\u001b[2J',
  );
  const evaluation = { id: 'x', status: 'EVALUATION_STATUS_RUNNING', resultCount: '3', metric: {}, labels: { a: 'b' } };
  expect(eventLine({ ...evaluation, summary: { mean: 0 } })).toBe('status running  resultCount 3  mean 0');
});

it('shows in a table what its rows are about, an error by its reason and a slug as a whole', () => {
  const plain = createPaint({ isTTY: false }, {});
  const slug = `optimization-${'0'.repeat(50)}`;
  expect(tableLines([{ slug, exampleCount: '0' }], plain)[1]).toBe(`${slug}  0`);
  const item = { index: '0', status: 'EXECUTION_STATUS_FAILED', error: { reason: 'LM_ERROR', message: 'long' } };
  expect(tableLines([{ ...item, inputs: { text: '' } }], plain)).toEqual([
    'index  status  error     inputs',
    '0      failed  LM_ERROR  {"text":""}',
  ]);
  expect(tableLines([{ id: '1', summary: { mean: 0.5 }, inputs: [{ name: 'a' }] }], plain)).toEqual([
    'id  mean',
    '1   0.5',
  ]);
});
