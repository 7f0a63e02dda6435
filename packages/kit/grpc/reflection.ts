import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer, loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { protoPath as healthProtoPath } from 'grpc-health-check';

/** The descriptors of every proto of ours, as `npm run gen` makes them. */
export function descriptorSet(): Buffer {
  return readFileSync(createRequire(import.meta.url).resolve('@signet/proto/gen/descriptors.binpb'));
}

/** Serves reflection for some services, health included; nothing else of the descriptors is shown. */
export function addReflection(server: Server, services: readonly string[]): void {
  const all: PackageDefinition = {
    ...loadFileDescriptorSetFromBuffer(onlyFilesOf(services)),
    ...loadSync(healthProtoPath),
  };
  const reflection = new ReflectionService(all, { services: [...services, 'grpc.health.v1.Health'] });
  reflection.addToServer(server);
}

// The reflection service lists only the services that it is told, but shows every file that it is given.
function onlyFilesOf(services: readonly string[]): Buffer {
  const set = fromBinary(FileDescriptorSetSchema, descriptorSet());
  const wanted = new Set<string>();
  const want = (name: string): void => {
    if (wanted.has(name)) return;
    wanted.add(name);
    for (const dependency of set.file.find((file) => file.name === name)?.dependency ?? []) want(dependency);
  };
  for (const file of set.file) {
    if (file.service.some((service) => services.includes(`${file.package}.${service.name}`))) want(file.name);
  }
  set.file = set.file.filter((file) => wanted.has(file.name));
  return Buffer.from(toBinary(FileDescriptorSetSchema, set));
}
