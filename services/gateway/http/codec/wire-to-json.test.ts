import { create, fromJson, type JsonValue as PlainJson, toBinary, toJson } from '@bufbuild/protobuf';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { toRpcStatus } from '@signet/kit/grpc/status.ts';
import { ExecutionEvent } from '@signet/proto/gen/signet/v1/execution.ts';
import { describe, expect, test } from 'vitest';
import { loadContract } from '../../contract/public-methods.ts';
import { eventText } from '../event-stream.ts';
import { messageToJson } from './wire-to-json.ts';

const { registry, methods } = loadContract();

function text(type: string, plain: PlainJson): string {
  const desc = registry.getMessage(type)!;
  return messageToJson(desc, toBinary(desc, fromJson(desc, plain, { registry }))).json;
}

function same(type: string, plain: PlainJson): void {
  const desc = registry.getMessage(type)!;
  const message = fromJson(desc, plain, { registry });
  const expected = toJson(desc, message, { registry, alwaysEmitImplicit: true });
  expect(JSON.parse(messageToJson(desc, toBinary(desc, message)).json)).toEqual(expected);
}

describe('JSON written from messages', () => {
  test('is that of protobuf-es with defaults written out', () => {
    same('signet.v1.Program', {
      id: '1',
      name: 'héllo "x" \u2028',
      status: 'PROGRAM_STATUS_READY',
      labels: { a: 'b', c: '' },
      variables: { a: [1, 'x', null, { b: true }], c: -0.5, d: {} },
      optimizationHistory: [{}, { a: 1 }],
      createTime: '2026-01-02T03:04:05.120Z',
      updateTime: '1969-12-31T23:59:59.000001Z',
      servingVersion: -1,
    });
    same('signet.v1.ProgramConfiguration', {
      lmOptions: { temperature: 0, maxTokens: 5, stop: ['a', 'b'], seed: '-9223372036854775808', topP: 0.1 },
    });
    same('signet.v1.ProgramStatistics', { totalExecutions: '12', successRate: 0.5, averageDurationMs: 1e21 });
  });

  test.each(methods.map((method) => [method.name, method.desc.output] as const))(
    'is that of protobuf-es for an empty answer of %s',
    (_name, desc) => {
      const expected = toJson(desc, create(desc), { registry, alwaysEmitImplicit: true });
      expect(JSON.parse(messageToJson(desc, new Uint8Array()).json)).toEqual(expected);
    },
  );

  test('holds a payload as the very text that the owner wrote', () => {
    const json = Buffer.from('{"a":9007199254740993,"b":0.1000000000000000055,"c":1.0}').toString('base64');
    expect(text('signet.v1.Execution', { inputs: { json } })).toContain(
      '"inputs":{"a":9007199254740993,"b":0.1000000000000000055,"c":1.0}',
    );
    expect(text('signet.v1.Execution', { outputs: { struct: { a: 1 } } })).toContain('"outputs":{"a":1}');
  });

  test('tells an enum value that it does not know as its number', () => {
    const desc = registry.getMessage('signet.v1.StateEvent')!;
    expect(messageToJson(desc, Uint8Array.of(8, 99)).json).toBe('{"status":99}');
  });

  test('shows an error inside an event as a problem', () => {
    const value = toRpcStatus(invalidField('inputs.a', 'is wrong'));
    const event = ExecutionEvent.encode({ sequence: 7n, executionId: 'e', event: { $case: 'error', value } }).finish();
    const lines = eventText(registry.getMessage('signet.v1.ExecutionEvent')!, event).split('\n');
    expect(lines.slice(0, 2)).toEqual(['event: error', 'id: 7']);
    expect(JSON.parse(lines[2]!.slice(6))).toMatchObject({
      reason: 'INVALID_REQUEST',
      status: 400,
      violations: [{ field: 'inputs.a' }],
    });
  });

  test('never breaks an event in two, whatever white space a payload holds', () => {
    const value = Buffer.from('{"a":\n\r\n1}');
    const event = ExecutionEvent.encode({
      sequence: 1n,
      executionId: 'e',
      event: {
        $case: 'result',
        value: {
          executionId: 'e',
          status: 3,
          outputs: { kind: { $case: 'json', value } },
          durationMs: 1n,
          traceId: '',
          engine: 1,
          programId: '',
          version: 1,
          cacheHit: false,
          degraded: false,
        },
      },
    }).finish();
    const written = eventText(registry.getMessage('signet.v1.ExecutionEvent')!, event);
    expect(written.split('\n')).toHaveLength(5);
    expect(written).not.toContain('\r');
  });
});
