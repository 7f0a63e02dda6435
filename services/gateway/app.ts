import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '@signet/kit/clock.ts';
import { createGrpcPeer } from '@signet/kit/grpc/client.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { createTally } from '@signet/kit/log/tally.ts';
import type { Running } from '@signet/kit/process/run-main.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { createAuthenticate } from './admission/authenticate.grpc.ts';
import { createKeyRing } from './admission/key.ts';
import { createRateLimiter } from './admission/rate-limit.ts';
import { createTurnstiles } from './admission/turnstiles.ts';
import type { GatewayConfig } from './config.ts';
import { loadContract } from './contract/public-methods.ts';
import { AttachedSessions } from './grpc/attached-sessions.ts';
import { createOwnerHealth } from './grpc/owner-health.ts';
import { createGrpcDoor } from './grpc/server.ts';
import { createUpstream } from './grpc/upstream.ts';
import { createDocsFiles } from './http/docs/docs-files.ts';
import { createOpenApi } from './http/openapi/document.ts';
import { createHttpDoor } from './http/server.ts';
import { createSystemPages } from './http/system-pages.ts';

/** Failed attempts that an address has for each call that a key has. */
const failuresPerCall = 10;

/** Starts the gateway: both public doors over the two owners. */
export async function createGatewayApp(config: GatewayConfig): Promise<Running> {
  const log = createLogger('gateway', config.logLevel);
  const telemetry = createTelemetry('signet-gateway', config.telemetry, log);
  const contract = loadContract();
  const { internalToken, rateLimit } = config;

  const registryPeer = createGrpcPeer({ telemetry, internalToken, peer: 'registry', address: config.registryAddress });
  const failureLimit = rateLimit && { ...rateLimit, count: rateLimit.count * failuresPerCall };
  const admission = {
    keys: createKeyRing(createAuthenticate(registryPeer), systemClock),
    calls: createRateLimiter(rateLimit, systemClock),
    failures: createRateLimiter(failureLimit, systemClock),
  };
  const upstreams = {
    registry: createUpstream({ telemetry, internalToken, owner: 'registry', address: config.registryAddress }),
    executor: createUpstream({
      ...{ telemetry, internalToken, owner: 'executor', address: config.executorAddress },
      sessions: new AttachedSessions(config.executorAddress, internalToken),
    }),
  };
  const health = createOwnerHealth({ registry: config.registryAddress, executor: config.executorAddress });

  let stopping = false;
  const draining = (): boolean => stopping;
  const turnstiles = createTurnstiles(telemetry.meter, contract, config.inFlightMax);
  const forward = { telemetry, log, tally: createTally(log), admission, turnstiles, upstreams, draining };
  const openapi = createOpenApi(contract);
  const pages = createSystemPages({
    telemetry,
    health,
    admission,
    draining,
    openapi: () => openapi.text,
    docs: createDocsFiles(),
  });
  const httpDoor = createHttpDoor({ ...forward, pages, heartbeatMs: config.heartbeatMs }, contract);
  const grpcDoor = createGrpcDoor(forward, contract, health.implementation);

  const closeAll = async (lingerMs: number): Promise<void> => {
    stopping = true;
    health.drain();
    // Whoever shares calls out among gateways needs a moment to see that this one goes; until then it serves on.
    await delay(lingerMs);
    await Promise.all([httpDoor.close(config.graceMs), grpcDoor.close(config.graceMs)]);
    turnstiles.close();
    health.close();
    registryPeer.close();
    upstreams.registry.close();
    upstreams.executor.close();
    await telemetry.shutdown();
  };
  try {
    await health.check();
    const listening = { http: await httpDoor.listen(config.http), grpc: await grpcDoor.listen(config.grpc) };
    log.info(listening, 'gateway is up');
    return { listening, close: () => closeAll(config.lingerMs) };
  } catch (error) {
    await closeAll(0);
    throw error;
  }
}
