import {
  createFileRegistry,
  type DescExtension,
  type DescField,
  type DescMethod,
  type FileRegistry,
  fromBinary,
  getOption,
  ScalarType,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { invariant } from '@signet/kit/error/app-error.ts';
import { descriptorSet } from '@signet/kit/grpc/reflection.ts';
import { type Owner, owners } from './owners.ts';

/** One way to call a method over HTTP, as its annotation says. */
export type HttpBinding = {
  readonly httpMethod: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Such as `/v1/programs/{program}:execute`. */
  readonly template: string;
  /** True if the body is the request message, as `*` says. */
  readonly hasBody: boolean;
  /** The field that each piece of a streamed body fills: a line of JSON where it is a message, raw bytes otherwise. */
  readonly bodyField: DescField | undefined;
};

/** A method that callers may call. */
export type PublicMethod = {
  /** `/signet.v1.ProgramService/CreateProgram`. */
  readonly path: string;
  /** `signet.v1.ProgramService`. */
  readonly service: string;
  readonly name: string;
  readonly owner: Owner;
  readonly desc: DescMethod;
  /** True if its answers are a stream. */
  readonly streams: boolean;
  /** True if its requests are a stream. */
  readonly takesStream: boolean;
  /** True if its answers are the pieces of a file. */
  readonly isDownload: boolean;
  /** True if it changes nothing, by being served as GET: it may be asked of another replica. */
  readonly isRead: boolean;
  readonly bindings: readonly HttpBinding[];
};

/** The contract as the gateway knows it: nothing but descriptors. */
export type Contract = { readonly registry: FileRegistry; readonly methods: readonly PublicMethod[] };

/** Reads every public method out of the descriptors; throws where a service has no owner or an annotation cannot be served. */
export function loadContract(): Contract {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet()));
  const http = registry.getExtension('google.api.http');
  invariant(http !== undefined, 'the descriptors hold google.api.http');
  const methods: PublicMethod[] = [];
  for (const type of registry) {
    if (type.kind !== 'service' || type.file.proto.package !== 'signet.v1') continue;
    const owner = owners[type.typeName];
    invariant(owner !== undefined, `${type.typeName} has no owner`);
    for (const desc of type.methods) {
      const bindings = bindingsOf(desc, http);
      const streams = desc.methodKind === 'server_streaming' || desc.methodKind === 'bidi_streaming';
      methods.push({
        path: `/${type.typeName}/${desc.name}`,
        service: type.typeName,
        name: desc.name,
        owner,
        desc,
        streams,
        takesStream: desc.methodKind === 'client_streaming' || desc.methodKind === 'bidi_streaming',
        isDownload: streams && desc.output.typeName === 'google.api.HttpBody',
        isRead: bindings[0]?.httpMethod === 'GET',
        bindings,
      });
    }
  }
  return { registry, methods };
}

type HttpRule = {
  readonly pattern: { readonly case: string | undefined; readonly value?: unknown };
  readonly body: string;
  readonly additionalBindings: readonly HttpRule[];
};

const httpMethods = { get: 'GET', post: 'POST', put: 'PUT', patch: 'PATCH', delete: 'DELETE' } as const;

function bindingsOf(desc: DescMethod, extension: DescExtension): HttpBinding[] {
  // The annotation's message type is known only at run time: nothing is generated for it here.
  const read = getOption as (element: DescMethod, extension: DescExtension) => unknown;
  const rule = read(desc, extension) as HttpRule | undefined;
  if (rule === undefined) return [];
  return [rule, ...rule.additionalBindings].map((one) => {
    const httpMethod = Object.entries(httpMethods).find(([name]) => name === one.pattern.case)?.[1];
    invariant(
      httpMethod !== undefined && typeof one.pattern.value === 'string',
      `${desc.name} has a known HTTP method`,
    );
    const bodyField = bodyFieldOf(desc, one.body);
    return { httpMethod, template: one.pattern.value, hasBody: one.body === '*', bodyField };
  });
}

function bodyFieldOf(desc: DescMethod, body: string): DescField | undefined {
  if (desc.methodKind === 'unary' || desc.methodKind === 'server_streaming') {
    invariant(body === '' || body === '*', `${desc.name} has the body * or none`);
    return undefined;
  }
  const field = desc.input.fields.find(({ name }) => name === body);
  invariant(
    field?.fieldKind === 'message' || (field?.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES),
    `${desc.name} has a message or bytes as its body`,
  );
  return field;
}
