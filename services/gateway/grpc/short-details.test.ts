import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '@signet/kit/error/app-error.ts';
import { fromRpcStatus, toRpcStatus } from '@signet/kit/grpc/status.ts';
import { Status } from '@signet/proto/gen/google/rpc/status.ts';
import { ProgramServiceService } from '@signet/proto/gen/signet/v1/program_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GatewayRig, rigKeys, startRig } from '../test-support/owners.ts';
import { shortDetails } from './short-details.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const python = process.env.SIGNET_PYTHON ?? join(root, '.signet', 'venv', 'bin', 'python');

const violations = (count: number, description = 'no step of this name comes before it') =>
  Array.from({ length: count }, (_, n) => ({
    field: `pipeline_spec.steps[${n}].input.query["$ref"]`,
    reason: 'UNKNOWN_REFERENCE',
    description,
  }));
const failure = (count: number, description?: string): AppError =>
  new AppError('PIPELINE_INVALID', 'The pipeline has faults', {
    metadata: { faults: String(count) },
    fieldViolations: violations(count, description),
  });
const pack = (error: AppError): Buffer => Buffer.from(Status.encode(toRpcStatus(error)).finish());
const shorten = (error: AppError) => {
  const packed = shortDetails(pack(error), error.message);
  return { packed, read: fromRpcStatus(Status.decode(packed))! };
};

describe('the details of a failure', () => {
  it('stay byte for byte as they are where they are short', () => {
    const packed = pack(failure(10));
    expect(shortDetails(packed, 'The pipeline has faults')).toBe(packed);
  });

  it.each([60, 100, 1000, 5000])('of %i violations keep the first of them, as many as there is room for', (count) => {
    const error = failure(count);
    const { packed, read } = shorten(error);
    expect(packed.toString('base64').length).toBeLessThan(8192);
    expect(packed.toString('base64').length).toBeGreaterThan(7500);
    const kept = read.fieldViolations.length;
    expect(read.fieldViolations).toEqual(error.fieldViolations.slice(0, kept));
    expect(read.metadata).toEqual({ ...error.metadata, violations_left_out: String(count - kept) });
    expect([read.reason, read.message]).toEqual([error.reason, error.message]);
  });

  it('lose a violation that is too long by itself, and make room for a long message', () => {
    const { read } = shorten(failure(1, 'x'.repeat(9000)));
    expect([read.fieldViolations, read.metadata.violations_left_out]).toEqual([[], '1']);
    const packed = shortDetails(pack(failure(100)), 'ä'.repeat(1000));
    expect(packed.toString('base64').length).toBeLessThan(8192 - 6000);
  });

  it('stay as they are where there are no violations to leave out', () => {
    const packed = pack(new AppError('PROGRAM_NOT_FOUND', 'x'.repeat(9000)));
    expect(shortDetails(packed, 'x'.repeat(9000))).toBe(packed);
  });
});

const client = `
import base64, json, sys, grpc
from google.rpc import error_details_pb2, status_pb2
address, path, key = sys.argv[1:]
with grpc.insecure_channel(address) as channel:
    call = channel.unary_unary(path, request_serializer=None, response_deserializer=None)
    try:
        call(b"", timeout=20, metadata=[("authorization", "Bearer " + key)])
        print(json.dumps({"code": "OK"}))
    except grpc.RpcError as error:
        said = {"code": error.code().name, "message": error.details()}
        for name, value in error.trailing_metadata() or ():
            if name == "grpc-status-details-bin":
                for detail in status_pb2.Status.FromString(value).details:
                    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
                    if detail.Unpack(info): said.update(reason=info.reason, metadata=dict(info.metadata))
                    if detail.Unpack(bad): said.update(fields=[one.field for one in bad.field_violations])
        print(json.dumps(said))
`;

describe.skipIf(!existsSync(python))("a client built on gRPC's C core", () => {
  let rig: GatewayRig;
  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig?.close());

  const compose = async () => {
    const args = ['-I', '-c', client, rig.grpc, ProgramServiceService.composeProgram.path, rigKeys.admin];
    return JSON.parse((await promisify(execFile)(python, args, { timeout: 50_000 })).stdout);
  };

  it('reads a refusal with 100 faults, the first of them and how many more there are', {
    timeout: 60_000,
  }, async () => {
    const error = failure(100);
    rig.answer('ComposeProgram', () => {
      throw error;
    });
    // Between 8 and 16 KiB a call is refused by chance: one that came through says little.
    for (let n = 0; n < 5; n++) {
      const said = await compose();
      expect(said).toMatchObject({ code: 'INVALID_ARGUMENT', message: error.message, reason: 'PIPELINE_INVALID' });
      expect(said.fields.length).toBeGreaterThan(20);
      expect(said.fields).toEqual(error.fieldViolations.slice(0, said.fields.length).map(({ field }) => field));
      expect(Number(said.metadata.violations_left_out)).toBe(100 - said.fields.length);
    }
  });
});
