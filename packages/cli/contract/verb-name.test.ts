import { expect, it } from 'vitest';
import { loadContract } from './contract.ts';
import { nameVerb } from './verb-name.ts';

it.each([
  ['CreateProgram', 'post', '/v1/programs', 'programs create'],
  ['ListPrograms', 'get', '/v1/programs', 'programs list'],
  ['GetProgram', 'get', '/v1/programs/{program}', 'programs get program'],
  ['UpdateProgram', 'patch', '/v1/programs/{program}', 'programs update program'],
  ['ExecuteProgram', 'post', '/v1/programs/{program}:execute', 'programs execute program'],
  ['GetProgramStats', 'get', '/v1/programs/{program}/stats', 'programs stats program'],
  ['UpdateModuleMetrics', 'patch', '/v1/modules/{module}/metrics', 'modules update-metrics module'],
  ['GetProgramVersion', 'get', '/v1/programs/{program}/versions/{version}', 'programs get-version program version'],
  ['CreateSignatureFromModule', 'post', '/v1/signatures:fromModule', 'signatures from-module'],
  ['ListFieldTypes', 'get', '/v1/fieldTypes', 'field-types list'],
  ['QuickExecute', 'post', '/v1/quickExecute', 'quick-execute'],
  ['GetMe', 'get', '/v1/me', 'me'],
])('calls %s (%s %s) `%s`', (method, httpMethod, template, expected) => {
  const { noun, verb, positionals } = nameVerb(method, { method: httpMethod, template });
  expect([...(noun === undefined ? [] : [noun]), verb, ...positionals].join(' ')).toBe(expected);
});

it('has a name of its own for every method of the contract', () => {
  const names = loadContract().verbs.map(({ noun = '', verb }) => `${noun} ${verb}`.trim());
  expect(names.toSorted()).toEqual([...new Set(names)].toSorted());
  expect(names.length).toBeGreaterThan(30);
});
