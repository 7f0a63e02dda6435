import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Client, credentials, Metadata, type MethodDefinition, status } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ProgramServiceService } from '@signet/proto/gen/signet/v1/program_service.ts';
import { service as healthService } from 'grpc-health-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadContract } from '../contract/public-methods.ts';
import { call } from '../test-support/grpc-call.ts';
import { type GatewayRig, startRig } from '../test-support/owners.ts';

let rig: GatewayRig;
let client: Client;
beforeAll(async () => {
  rig = await startRig();
  client = new Client(rig.grpc, credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await rig.close();
});

const getProgram = ProgramServiceService.getProgram;

describe('what callers find at the gRPC door', () => {
  test('serves neither our inner services nor unknown ones', async () => {
    for (const path of [
      '/signet.internal.v1.RegistryInternalService/AuthenticateKey',
      '/signet.v1.ProgramService/Nothing',
    ]) {
      const method = { ...getProgram, path };
      await expect(call(client, method, { program: '', includeArchived: false }).answer).rejects.toMatchObject({
        code: status.UNIMPLEMENTED,
      });
    }
  });

  test('tells its health without a key', async () => {
    const check = healthService.Check as unknown as MethodDefinition<{ service: string }, { status: string }>;
    for (const service of ['', 'signet.v1.ProgramService', 'signet.v1.ExecutionService']) {
      await eventually(async () =>
        expect((await call(client, check, { service }, { key: null }).answer).status).toBe('SERVING'),
      );
    }
  });

  test('reflects its public services and health, and nothing else', async () => {
    const base = dirname(createRequire(import.meta.url).resolve('@grpc/reflection'));
    const proto = loadSync(join(base, '../proto/grpc/reflection/v1/reflection.proto'));
    const service = proto['grpc.reflection.v1.ServerReflection'] as Record<string, MethodDefinition<object, Reflected>>;
    const method = service.ServerReflectionInfo!;
    const ask = async (request: object): Promise<Reflected> => {
      const stream = client.makeBidiStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        new Metadata(),
      );
      stream.write(request);
      stream.end();
      for await (const answer of stream) return answer as Reflected;
      throw new Error('no answer');
    };
    const listed = await ask({ listServices: '' });
    const names = listed.listServicesResponse!.service.map((one) => one.name);
    const contract = [...new Set(loadContract().methods.map((one) => one.service))];
    expect(names.filter((name) => !name.startsWith('grpc.reflection')).sort()).toEqual(
      [...contract, 'grpc.health.v1.Health'].sort(),
    );
    expect((await ask({ fileContainingSymbol: 'signet.v1.ProgramService' })).fileDescriptorResponse).toBeTruthy();
    expect((await ask({ fileContainingSymbol: 'grpc.health.v1.Health' })).fileDescriptorResponse).toBeTruthy();
    expect(
      (await ask({ fileContainingSymbol: 'signet.internal.v1.RegistryInternalService' })).errorResponse,
    ).toBeTruthy();
  });
});

type Reflected = {
  listServicesResponse?: { service: { name: string }[] };
  fileDescriptorResponse?: object;
  errorResponse?: object;
};
