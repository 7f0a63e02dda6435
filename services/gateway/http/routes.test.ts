import { describe, expect, test } from 'vitest';
import { loadContract } from '../contract/public-methods.ts';
import { createMatcher } from './routes.ts';

const { methods } = loadContract();
const matcher = createMatcher(methods);

describe('the matcher', () => {
  test.each(matcher.routes.map((route) => [route.label, route] as const))('leads %s to its method', (_label, route) => {
    const path = route.binding.template.replace(/\{[a-z_]+\}/g, 'a-1');
    const found = matcher.match(route.binding.httpMethod, path);
    expect(found.route).toBe(route);
    expect(Object.values(found.params)).toEqual(route.variables.map(() => 'a-1'));
  });

  test('finds a route for every public method', () => {
    const routed = new Set(matcher.routes.map((route) => route.method.path));
    expect(methods.filter((method) => !routed.has(method.path))).toEqual([]);
  });

  test('decodes a variable once', () => {
    expect(matcher.match('GET', '/v1/programs/a%252Fb').params).toEqual({ program: 'a%2Fb' });
    expect(matcher.match('GET', '/v1/programs/a%2Fb').params).toEqual({ program: 'a/b' });
    expect(matcher.match('GET', '/v1/programs/a%3Aexecute').params).toEqual({ program: 'a:execute' });
    expect(matcher.match('POST', '/v1/programs/a%3Ab:execute').params).toEqual({ program: 'a:b' });
  });

  test.each([
    '/',
    '',
    '/v1',
    '/v1/',
    '/v1/programs/',
    '/v1/programs//versions',
    '/v1/programs/:execute',
    '/v1/programs/qa:nothing',
    '/v1/programs/qa:',
    '/v1/programs/qa/',
    '//v1/programs',
    '/v1/../v1/programs',
    '/v1/programs:parse',
    '/V1/programs',
    '/__proto__',
    '/v1/constructor',
    '/v1/programs/qa/versions/1/2',
    'http://x/v1/programs',
    '*',
  ])('finds nothing at %s', (path) => {
    expect(() => matcher.match('GET', path)).toThrow(expect.objectContaining({ reason: 'ROUTE_NOT_FOUND' }));
  });

  test('tells which methods a path takes', () => {
    const refusal = { reason: 'METHOD_NOT_ALLOWED', metadata: { allow: 'POST, OPTIONS' } };
    expect(() => matcher.match('GET', '/v1/programs/qa:execute')).toThrow(expect.objectContaining(refusal));
    expect(matcher.allowed('/v1/executions/1:watch')).toEqual(['GET', 'OPTIONS']);
    expect(matcher.allowed('/v1/executions/1')).toEqual(['GET', 'DELETE', 'HEAD', 'OPTIONS']);
  });

  test('refuses a variable that is not percent-encoded UTF-8', () => {
    for (const path of ['/v1/programs/%', '/v1/programs/%ff', '/v1/programs/%zz']) {
      expect(() => matcher.match('GET', path)).toThrow(expect.objectContaining({ reason: 'INVALID_REQUEST' }));
    }
  });
});
