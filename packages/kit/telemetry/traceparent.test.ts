import { ROOT_CONTEXT } from '@opentelemetry/api';
import { expect, it } from 'vitest';
import { contextFromTraceparent, traceIdOf, traceparentOf } from './traceparent.ts';

const sampled = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

it('reads and writes a W3C traceparent', () => {
  const context = contextFromTraceparent(sampled);
  expect(traceIdOf(context)).toBe('0af7651916cd43dd8448eb211c80319c');
  expect(traceparentOf(context)).toBe(sampled);
  const unsampled = sampled.replace(/01$/, '00');
  expect(traceparentOf(contextFromTraceparent(unsampled))).toBe(unsampled);
});

it('takes a later version for what it knows of it', () => {
  expect(traceIdOf(contextFromTraceparent(`cc${sampled.slice(2)}-more`))).toBe('0af7651916cd43dd8448eb211c80319c');
});

it.each([
  undefined,
  '',
  'garbage',
  `ff${sampled.slice(2)}`,
  `${sampled}-more`,
  sampled.toUpperCase(),
  '00-00000000000000000000000000000000-b7ad6b7169203331-01',
  '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
])('starts a new trace for %j', (value) => {
  expect(contextFromTraceparent(value)).toBe(ROOT_CONTEXT);
});
