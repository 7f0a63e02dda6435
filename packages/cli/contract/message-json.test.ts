import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { parseJson, writeJson } from '@signet/client/json.ts';
import { expect, it } from 'vitest';
import { findVerb, loadContract } from './contract.ts';
import { messageFromJson, messageToJson } from './message-json.ts';

const contract = loadContract();
const inputOf = (method: string) => findVerb(contract, method)!.desc.input;

function through(method: string, json: string): string {
  const desc = inputOf(method);
  const message = messageFromJson(desc, parseJson(json) as object as never, contract.registry);
  return writeJson(messageToJson(fromBinary(desc, toBinary(desc, message)), desc, contract.registry));
}

it('carries plain objects in payloads, every digit of them, at every depth', () => {
  const inputs = '{"n":9007199254740993,"json":{"struct":1},"list":[[-9223372036854775808]],"none":[],"text":""}';
  expect(through('ExecuteProgram', `{"program":"qa","inputs":${inputs}}`)).toBe(`{"program":"qa","inputs":${inputs}}`);
  const configuration = `{"module":"predict","demos":[${inputs},{}]}`;
  expect(through('CreateProgram', `{"name":"qa","configuration":${configuration}}`)).toBe(
    `{"name":"qa","configuration":${configuration}}`,
  );
});

it('takes short words for enums, keys in either case, and 64-bit integers as numbers', () => {
  expect(through('ListPrograms', '{"status":"active","page_size":3}')).toBe(
    '{"pageSize":3,"status":"PROGRAM_STATUS_READY"}',
  );
  expect(through('CreateProgram', '{"adapterType":"python"}')).toBe('{"adapterType":"ADAPTER_TYPE_PYTHON_PORT"}');
  expect(through('WatchExecution', '{"execution":"x","afterSequence":9007199254740993}')).toBe(
    '{"execution":"x","afterSequence":"9007199254740993"}',
  );
  expect(through('CreateProgram', '{"labels":{"__proto__x":"1"},"variables":{"deep":[1,{"a":null}]}}')).toBe(
    '{"variables":{"deep":[1,{"a":null}]},"labels":{"__proto__x":"1"}}',
  );
});

it.each([
  ['ListPrograms', '{"status":"sleepy"}', /`sleepy` is none of draft, initializing, ready/],
  ['ListPrograms', '{"pageSize":"many"}', /page_size/],
  ['ListPrograms', '{"nothing":1}', /nothing/],
  ['ExecuteProgram', '{"inputs":[1]}', /inputs/],
  ['CreateProgram', '{"configuration":7}', /configuration/],
])('refuses for %s %s', (method, json, message) => {
  expect(() => through(method, json)).toThrow(message);
});

it('writes all fields for programs, and for people those that are not empty, numbers always', () => {
  const desc = findVerb(contract, 'GetBatch')!.desc.output;
  const message = messageFromJson(desc, { id: 'x', executionOptions: {} }, contract.registry);
  const whole = messageToJson(message, desc, contract.registry, true);
  expect(whole).toMatchObject({ name: '', completedCount: '0', labels: {}, status: 'BATCH_STATUS_UNSPECIFIED' });
  expect(whole.executionOptions).toMatchObject({ lm: '', timeoutMs: '0', engine: 'ENGINE_UNSPECIFIED' });
  const short = messageToJson(message, desc, contract.registry);
  expect(short).toMatchObject({ id: 'x', completedCount: '0', executionOptions: { timeoutMs: '0', version: 0 } });
  expect(Object.keys(short)).not.toContain('labels');
});
