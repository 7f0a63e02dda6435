import { formatAddresses } from '@signet/kit/config/env.ts';
import { createGrpcPeer } from '@signet/kit/grpc/client.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { createRegistryClient } from './catalog/registry.grpc.ts';
import type { ExecutorConfig } from './config.ts';
import { byIndexAlways, openDatabase } from './db/pool.ts';
import { createLmClient } from './lm/lm-client.ts';

/** What an executor stands on: its log and telemetry, the database, the registry and the language models. */
export type Ground = ReturnType<typeof openGround>;

/** Opens it, and adds what closes it to `closers`. */
export function openGround(config: ExecutorConfig, log: Logger, closers: (() => Promise<unknown>)[]) {
  const { databaseUrl, internalToken } = config;
  const telemetry = createTelemetry('signet-executor', config.telemetry, log);
  closers.push(() => telemetry.shutdown());
  const database = openDatabase({ log }, databaseUrl, { connectionMax: 10 });
  const recordDatabase = openDatabase({ log }, databaseUrl, { connectionMax: 2, settings: byIndexAlways });
  closers.push(() => Promise.all([database.close(), recordDatabase.close()]));
  const address = formatAddresses(config.registryAddresses);
  const peer = createGrpcPeer({ telemetry, internalToken, peer: 'registry', address });
  closers.push(async () => peer.close());
  const registry = createRegistryClient(peer);
  const lmClient = createLmClient({ tracer: telemetry.tracer, meter: telemetry.meter });
  closers.push(() => lmClient.close());
  return { log, telemetry, database, recordDatabase, peer, registry, lmClient };
}
