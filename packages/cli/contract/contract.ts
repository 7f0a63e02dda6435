import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  createFileRegistry,
  type DescExtension,
  type DescField,
  type DescMethod,
  type FileRegistry,
  fromBinary,
  getOption,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { nameVerb, type VerbName } from './verb-name.ts';

/** One method of a public service, and what the command calls it. */
export type Verb = VerbName & {
  readonly desc: DescMethod;
  /** `/signet.v1.ProgramService/CreateProgram`. */
  readonly path: string;
  readonly streams: boolean;
  /** The field that streamed requests fill, a row or a piece of a file each; undefined where there is one request. */
  readonly bodyField: DescField | undefined;
  /** True if the answers are the pieces of a file. */
  readonly isDownload: boolean;
};

/** The contract as the command knows it: nothing but descriptors. */
export type Contract = { readonly registry: FileRegistry; readonly verbs: readonly Verb[] };

/** Reads every public method out of the descriptors. */
export function loadContract(): Contract {
  const path = createRequire(import.meta.url).resolve('@signet/proto/gen/descriptors.binpb');
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(path)));
  const http = registry.getExtension('google.api.http');
  const verbs: Verb[] = [];
  for (const type of registry) {
    if (type.kind !== 'service' || type.file.proto.package !== 'signet.v1') continue;
    for (const desc of type.methods) {
      const route = http === undefined ? undefined : routeOf(desc, http);
      const takesStream = desc.methodKind === 'client_streaming' || desc.methodKind === 'bidi_streaming';
      const bodyField = takesStream ? desc.input.fields.find(({ name }) => name === route?.body) : undefined;
      // Without a row there is nothing to stream.
      if (takesStream && bodyField === undefined) continue;
      const streams = desc.methodKind === 'server_streaming' || desc.methodKind === 'bidi_streaming';
      const isDownload = streams && desc.output.typeName === 'google.api.HttpBody';
      const path = `/${type.typeName}/${desc.name}`;
      verbs.push({ ...nameVerb(desc.name, route), desc, path, streams, bodyField, isDownload });
    }
  }
  return { registry, verbs };
}

/** The method of a name such as `ProgramService.ListPrograms` or its full path; undefined if there is none. */
export function findVerb(contract: Contract, name: string): Verb | undefined {
  const wanted = name
    .replace(/^\//, '')
    .replace(/^signet\.v1\./, '')
    .replace('/', '.')
    .toLowerCase();
  return contract.verbs.find(({ desc }) =>
    [`${desc.parent.name}.${desc.name}`, desc.name].some((known) => known.toLowerCase() === wanted),
  );
}

type HttpRule = { readonly pattern: { readonly case?: string; readonly value?: unknown }; readonly body: string };

type Route = { readonly method: string; readonly template: string; readonly body: string };

function routeOf(desc: DescMethod, http: DescExtension): Route | undefined {
  // The annotation's message type is known only at run time.
  const rule = (getOption as (desc: DescMethod, extension: DescExtension) => unknown)(desc, http) as
    | HttpRule
    | undefined;
  const { case: method, value } = rule?.pattern ?? {};
  return method !== undefined && typeof value === 'string' ? { method, template: value, body: rule!.body } : undefined;
}
