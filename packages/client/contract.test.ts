import { createFileRegistry, fromBinary, getOption } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptorSet } from '@signet/kit/grpc/reflection.ts';
import { expect, it } from 'vitest';
import { repeatableOf } from './repeat.ts';
import { publicServices } from './services.ts';

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet()));
const http = registry.getExtension('google.api.http');
const services = [...registry].filter((type) => type.kind === 'service' && type.file.proto.package === 'signet.v1');

it('has every public service', () => {
  const known = Object.values(publicServices).map((service) => Object.values(service)[0]!.path.split('/')[1]);
  expect(known.toSorted()).toEqual(services.map(({ typeName }) => typeName).toSorted());
});

// Reads whose request does not fit into a URL.
const POSTED_READS = new Set(['RenderPrompt']);

it('takes for reads what the contract annotates as GET, and nothing else', () => {
  const methods = services.flatMap((service) => (service.kind === 'service' ? service.methods : []));
  const differing = methods.filter((method) => {
    const rule = (getOption as (desc: typeof method, extension: typeof http) => unknown)(method, http) as
      | { pattern: { case?: string } }
      | undefined;
    const isRead = repeatableOf(`/${method.parent.typeName}/${method.name}`, {}) === 'always';
    return isRead !== (rule?.pattern.case === 'get' || POSTED_READS.has(method.name));
  });
  expect(differing.map(({ name }) => name)).toEqual([]);
});
