import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { type Server, type ServerDuplexStream, type ServiceDefinition, status } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { completeFile, createFileIndex, type FileIndex, type FileProto } from './file-index.ts';

type ReflectionRequest = {
  readonly messageRequest?: string;
  readonly fileByFilename?: string;
  readonly fileContainingSymbol?: string;
  readonly fileContainingExtension?: { readonly containingType?: string; readonly extensionNumber?: number };
  readonly allExtensionNumbersOfType?: string;
};

const require = createRequire(import.meta.url);
const healthService = 'grpc.health.v1.Health';
// Nothing imports it, and clients need it to read what a status carries.
const statusDetails = 'google/rpc/error_details.proto';

/** The descriptors of every proto of ours, as `npm run gen` makes them. */
export function descriptorSet(): Buffer {
  return readFileSync(require.resolve('@signet/proto/gen/descriptors.binpb'));
}

/**
 * Serves reflection, v1 and v1alpha, for some services and health: the very files that they were compiled from, so that any client
 * can link them. Nothing else of the descriptors is shown.
 */
export function addReflection(server: Server, services: readonly string[]): void {
  const set = fromBinary(FileDescriptorSetSchema, descriptorSet());
  const index = createFileIndex([...set.file, healthFile()], [...services, healthService], [statusDetails]);
  const protos = join(
    dirname(require.resolve('@grpc/reflection/package.json')),
    'build',
    'proto',
    'grpc',
    'reflection',
  );
  for (const version of ['v1', 'v1alpha']) {
    const loaded = loadSync(join(protos, version, 'reflection.proto'), { oneofs: true, longs: Number });
    const service = loaded[`grpc.reflection.${version}.ServerReflection`] as ServiceDefinition;
    server.addService(service, { serverReflectionInfo: createHandler(index) });
  }
}

function createHandler(index: FileIndex) {
  return (call: ServerDuplexStream<ReflectionRequest, object>): void => {
    call.on('data', (request: ReflectionRequest) =>
      call.write({ originalRequest: request, ...answer(index, request) }),
    );
    call.on('end', () => call.end());
    call.on('error', () => undefined);
  };
}

function answer(index: FileIndex, request: ReflectionRequest): object {
  switch (request.messageRequest) {
    case 'listServices':
      return { listServicesResponse: { service: index.services.map((name) => ({ name })) } };
    case 'fileByFilename':
      return files(index, index.byName(request.fileByFilename ?? ''), 'file');
    case 'fileContainingSymbol':
      return files(index, index.bySymbol(request.fileContainingSymbol ?? ''), 'symbol');
    case 'fileContainingExtension': {
      const { containingType = '', extensionNumber = 0 } = request.fileContainingExtension ?? {};
      return files(index, index.byExtension(containingType, extensionNumber), 'extension');
    }
    case 'allExtensionNumbersOfType': {
      const baseTypeName = request.allExtensionNumbersOfType ?? '';
      const extensionNumber = index.extensionNumbers(baseTypeName);
      return extensionNumber === undefined
        ? missing('type')
        : { allExtensionNumbersResponse: { baseTypeName, extensionNumber } };
    }
    default:
      return { errorResponse: { errorCode: status.INVALID_ARGUMENT, errorMessage: 'unknown question' } };
  }
}

function files(index: FileIndex, file: FileProto | undefined, what: string): object {
  if (file === undefined) return missing(what);
  const fileDescriptorProto = index.closure(file).map((one) => Buffer.from(toBinary(FileDescriptorProtoSchema, one)));
  return { fileDescriptorResponse: { fileDescriptorProto } };
}

function missing(what: string): object {
  return { errorResponse: { errorCode: status.NOT_FOUND, errorMessage: `${what} not found` } };
}

// The only file that comes as text: its descriptors, made at run time, are no compiler's.
function healthFile(): FileProto {
  const proto = join(
    dirname(require.resolve('grpc-health-check/package.json')),
    'proto',
    'health',
    'v1',
    'health.proto',
  );
  const [message] = Object.values(loadSync(proto)).flatMap((entry) =>
    'fileDescriptorProtos' in entry ? (entry.fileDescriptorProtos as Buffer[]) : [],
  );
  return completeFile(fromBinary(FileDescriptorProtoSchema, message ?? new Uint8Array()));
}
