import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials, type GrpcObject, loadPackageDefinition, Metadata } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Stack, startStack } from '../support/stack.ts';

type ReflectionReply = {
  listServicesResponse?: { service: { name: string }[] };
  fileDescriptorResponse?: { fileDescriptorProto: Buffer[] };
  errorResponse?: { errorCode: number };
};
type ReflectionCall = NodeJS.EventEmitter & { write(request: object): void; end(): void };

// A caller that has no file of ours: all it knows comes by reflection, as with grpcurl.
describe('reflection', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ engines: 'mock' });
  });
  afterAll(() => stack?.close());

  it('lists the public services, health and itself, and nothing inner, without a key', async () => {
    const reply = await ask({ listServices: '*' });
    const names = reply.listServicesResponse?.service.map(({ name }) => name).toSorted();
    expect(names).toEqual(
      expect.arrayContaining([
        'grpc.health.v1.Health',
        'signet.v1.ApiKeyService',
        'signet.v1.ExecutionService',
        'signet.v1.ProgramService',
        'signet.v1.RuntimeService',
        'signet.v1.SignatureService',
      ]),
    );
    expect(names?.filter((name) => /internal|sidecar/.test(name))).toEqual([]);
  });

  it.each(['signet.internal.v1.RegistryInternalService', 'signet.sidecar.v1.SidecarService', 'signet.v1.Nobody', ''])(
    'knows nothing of %j',
    async (fileContainingSymbol) => {
      const reply = await ask({ fileContainingSymbol });
      expect(reply.fileDescriptorResponse).toBeUndefined();
      expect(reply.errorResponse?.errorCode).toBe(5);
    },
  );

  it.each(['signet.v1.SignatureService', 'grpc.health.v1.Health'])(
    'gives all that is needed to call %s',
    async (symbol) => {
      const files = new Map<string, Buffer>();
      const gather = async (request: object): Promise<void> => {
        for (const bytes of (await ask(request)).fileDescriptorResponse?.fileDescriptorProto ?? []) {
          const file = fromBinary(FileDescriptorProtoSchema, bytes);
          if (files.has(file.name)) continue;
          files.set(file.name, bytes);
          for (const fileByFilename of file.dependency) await gather({ fileByFilename });
        }
      };
      await gather({ fileContainingSymbol: symbol });
      const file = [...files.values()].map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: inOrder(file) }));
      const service = registry.getService(symbol);
      const method = service?.methods.find(({ name }) => name === 'ListFieldTypes' || name === 'Check');
      if (method === undefined) throw new Error(`${symbol} was not described`);
      const client = new Client(stack.grpcAddress, credentials.createInsecure());
      const metadata = new Metadata();
      metadata.set('authorization', `Bearer ${stack.adminKey}`);
      const reply = await new Promise<Buffer>((resolve, reject) => {
        const request = Buffer.from(toBinary(method.input, create(method.input)));
        const same = (bytes: Buffer): Buffer => bytes;
        client.makeUnaryRequest(`/${symbol}/${method.name}`, same, same, request, metadata, (error, bytes) =>
          error === null && bytes !== undefined ? resolve(bytes) : reject(error),
        );
      });
      client.close();
      expect(Object.keys(fromBinary(method.output, reply)).length).toBeGreaterThan(1);
    },
  );

  it('knows the details of a status, and names map entries as compilers do', async () => {
    const details = await ask({ fileContainingSymbol: 'google.rpc.ErrorInfo' });
    expect(details.fileDescriptorResponse?.fileDescriptorProto.length).toBeGreaterThan(0);
    const [health] =
      (await ask({ fileContainingSymbol: 'grpc.health.v1.Health' })).fileDescriptorResponse?.fileDescriptorProto ?? [];
    const list = fromBinary(FileDescriptorProtoSchema, health ?? new Uint8Array()).messageType.find(
      ({ name }) => name === 'HealthListResponse',
    );
    expect(list?.nestedType.map(({ name }) => name)).toEqual(['StatusesEntry']);
    expect(list?.field[0]?.typeName).toBe('.grpc.health.v1.HealthListResponse.StatusesEntry');
  });

  /** Asks reflection v1 one question; its own proto comes with the library. */
  async function ask(question: object): Promise<ReflectionReply> {
    const root = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));
    const proto = join(root, 'build', 'proto', 'grpc', 'reflection', 'v1', 'reflection.proto');
    const loaded = loadPackageDefinition(loadSync(proto, { longs: Number, oneofs: false }));
    const found = ['grpc', 'reflection', 'v1', 'ServerReflection'].reduce<unknown>(
      (level, name) => (level as GrpcObject)[name],
      loaded,
    );
    const Reflection = found as new (
      address: string,
      credential: unknown,
    ) => Client & { serverReflectionInfo(): ReflectionCall };
    const client = new Reflection(stack.grpcAddress, credentials.createInsecure());
    try {
      return await new Promise((resolve, reject) => {
        const call = client.serverReflectionInfo();
        call.on('data', resolve);
        call.on('error', reject);
        call.write(question);
        call.end();
      });
    } finally {
      client.close();
    }
  }
});

type FileProto = ReturnType<typeof fromBinary<typeof FileDescriptorProtoSchema>>;

/** Dependencies before those that need them. */
function inOrder(files: readonly FileProto[]): FileProto[] {
  const done = new Map<string, FileProto>();
  const visit = (file: FileProto): void => {
    if (done.has(file.name)) return;
    for (const name of file.dependency) {
      const needed = files.find((other) => other.name === name);
      if (needed !== undefined) visit(needed);
    }
    done.set(file.name, file);
  };
  for (const file of files) visit(file);
  return [...done.values()];
}
