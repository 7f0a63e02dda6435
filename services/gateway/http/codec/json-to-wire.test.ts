import { fromBinary, fromJson, type JsonValue as PlainJson, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadContract } from '../../contract/public-methods.ts';
import { Faults } from './faults.ts';
import { messageWriter, writeMessage } from './json-to-wire.ts';

const { registry } = loadContract();

function write(type: string, json: string) {
  const faults = new Faults();
  const out = new BinaryWriter();
  writeMessage(messageWriter(registry.getMessage(type)!), parseJson(json) as JsonObject, out, faults);
  return { bytes: out.finish(), violations: faults.violations };
}

function same(type: string, plain: PlainJson): void {
  const desc = registry.getMessage(type)!;
  const { bytes, violations } = write(type, JSON.stringify(plain));
  expect(violations).toEqual([]);
  const expected = toBinary(desc, fromJson(desc, plain, { registry }));
  expect(fromBinary(desc, bytes)).toEqual(fromBinary(desc, expected));
}

describe('messages written from JSON', () => {
  test('are those that protobuf-es reads from the same JSON', () => {
    same('signet.v1.CreateApiKeyRequest', {
      name: 'a',
      role: 'ROLE_ADMIN',
      expireTime: '2026-02-28T01:02:03.004+01:00',
      labels: { a: 'b', __proto__x: 'y' },
    });
    same('signet.v1.ListProgramsRequest', { page_size: 7, includeArchived: true, status: 3, filter: '' });
    same('signet.v1.ProgramConfiguration', {
      lmOptions: { temperature: 0.25, maxTokens: 5, stop: ['a', 'b'], seed: '9223372036854775807' },
      metadata: { a: [1, 'x', null, { b: true }], '': -0.5 },
    });
    same('signet.v1.UpdateProgramRequest', { program: 'p', description: '', updateMask: 'description,dspyProgramId' });
    same('signet.v1.WaitExecutionRequest', { timeoutMs: 1e3 });
    same('signet.v1.WaitExecutionRequest', { timeoutMs: '12', execution: null });
  });

  test('agree with protobuf-es for whatever text and numbers', () => {
    const request = fc.record(
      {
        name: fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\u0000')),
        labels: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.stringMatching(/^[ -~]{0,20}$/)),
        adapterType: fc.constantFrom('ADAPTER_TYPE_MOCK', 'ADAPTER_TYPE_NATIVE'),
        configuration: fc.record(
          {
            lmOptions: fc.record(
              { temperature: fc.double({ noNaN: true, noDefaultInfinity: true }), maxTokens: fc.integer() },
              { requiredKeys: [] },
            ),
          },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(request, (plain) => same('signet.v1.CreateProgramRequest', JSON.parse(JSON.stringify(plain)))),
      { numRuns: 100 },
    );
  });

  test('hold a payload as the very text of its numbers', () => {
    const { bytes } = write('signet.v1.ExecuteProgramRequest', '{"inputs":{"a":9007199254740993,"b":[1.0,1e2]}}');
    expect(Buffer.from(bytes).toString('latin1')).toContain('{"a":9007199254740993,"b":[1.0,1e2]}');
  });

  test('take short names and synonyms of enums', () => {
    const numbers = ['ready', 'ACTIVE', 'PROGRAM_STATUS_READY', 'program_status_ready'].map(
      (word) => write('signet.v1.ListProgramsRequest', JSON.stringify({ status: word })).bytes.at(-1)!,
    );
    expect(numbers).toEqual([3, 3, 3, 3]);
    expect(write('signet.v1.CreateProgramRequest', '{"adapterType":"python"}').bytes.at(-1)).toBe(1);
  });

  test.each([
    ['signet.v1.ListProgramsRequest', '{"pageSize":2147483648}', 'pageSize', 'OUT_OF_RANGE'],
    ['signet.v1.ListProgramsRequest', '{"pageSize":1.5}', 'pageSize', 'TYPE_MISMATCH'],
    ['signet.v1.ListProgramsRequest', '{"pageSize":true}', 'pageSize', 'TYPE_MISMATCH'],
    ['signet.v1.ListProgramsRequest', '{"status":"sleeping"}', 'status', 'VALUE_UNKNOWN'],
    ['signet.v1.ListProgramsRequest', '{"status":99}', 'status', 'VALUE_UNKNOWN'],
    ['signet.v1.ListProgramsRequest', '{"status":"constructor"}', 'status', 'VALUE_UNKNOWN'],
    ['signet.v1.ListProgramsRequest', '{"includeArchived":"true"}', 'includeArchived', 'TYPE_MISMATCH'],
    ['signet.v1.ListProgramsRequest', '{"pageSize":1,"page_size":1}', 'page_size', 'FIELD_TWICE'],
    ['signet.v1.ListProgramsRequest', '{"__proto__":{}}', '__proto__', 'FIELD_UNKNOWN'],
    ['signet.v1.RegisterModuleRequest', '{"config":{"a":[{"__proto__":{}}]}}', 'config.a[0].__proto__', 'KEY_RESERVED'],
    ['signet.v1.ListProgramsRequest', '{"constructor":1}', 'constructor', 'FIELD_UNKNOWN'],
    ['signet.v1.CreateProgramRequest', '{"name":"a\\u0000"}', 'name', 'TEXT_INVALID'],
    ['signet.v1.CreateProgramRequest', '{"name":"\\ud800"}', 'name', 'TEXT_INVALID'],
    ['signet.v1.CreateProgramRequest', '{"labels":{"a":null}}', 'labels.a', 'TYPE_MISMATCH'],
    ['signet.v1.CreateProgramRequest', '{"labels":[]}', 'labels', 'TYPE_MISMATCH'],
    ['signet.v1.CreateProgramRequest', '{"variables":{"a":["\\udc00"]}}', 'variables.a[0]', 'TEXT_INVALID'],
    ['signet.v1.CreateProgramRequest', '{"configuration":{"demos":[{},7]}}', 'configuration.demos[1]', 'TYPE_MISMATCH'],
    [
      'signet.v1.CreateProgramRequest',
      '{"configuration":{"lm_options":{"topP":"x"}}}',
      'configuration.lm_options.topP',
      'TYPE_MISMATCH',
    ],
    ['signet.v1.ExecuteProgramRequest', '{"inputs":[]}', 'inputs', 'TYPE_MISMATCH'],
    ['signet.v1.ExecuteProgramRequest', '{"inputs":{"a":["x\\u0000"]}}', 'inputs.a[0]', 'TEXT_INVALID'],
    ['signet.v1.CreateApiKeyRequest', '{"expireTime":"2026-02-30T00:00:00Z"}', 'expireTime', 'TYPE_MISMATCH'],
    ['signet.v1.CreateApiKeyRequest', '{"expireTime":"soon"}', 'expireTime', 'TYPE_MISMATCH'],
    ['signet.v1.WaitExecutionRequest', '{"timeoutMs":"9223372036854775808"}', 'timeoutMs', 'OUT_OF_RANGE'],
  ])('refuse %s %s', (type, json, field, reason) => {
    const { violations } = write(type, json);
    expect(violations.map((one) => [one.field, one.reason])).toEqual([[field, reason]]);
  });

  test('refuse all faults at once, a hundred at most', () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`x${index}`, 1]));
    expect(write('signet.v1.ListProgramsRequest', JSON.stringify(many)).violations).toHaveLength(100);
  });
});
