import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
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
  const all: PackageDefinition = { ...loadFileDescriptorSetFromBuffer(descriptorSet()), ...loadSync(healthProtoPath) };
  const reflection = new ReflectionService(all, { services: [...services, 'grpc.health.v1.Health'] });
  reflection.addToServer(server);
}
