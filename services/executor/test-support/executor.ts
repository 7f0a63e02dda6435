import { ROOT_CONTEXT } from '@opentelemetry/api';
import type { Role } from '@signet/kit/call-context.ts';
import { parseAddresses } from '@signet/kit/config/env.ts';
import { createGrpcPeer, type GrpcPeer, type OutgoingContext } from '@signet/kit/grpc/client.ts';
import type { Running } from '@signet/kit/process/run-main.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { noTelemetry } from '@signet/kit/telemetry/telemetry-config.ts';
import type { Payload } from '@signet/proto/gen/signet/v1/common.ts';
import {
  CreateExecutionRequest,
  ExecutionServiceService as executions,
} from '@signet/proto/gen/signet/v1/execution_service.ts';
import {
  ExecuteProgramRequest,
  RuntimeServiceService as runtime,
} from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { createExecutorApp, type ExecutorParts } from '../app.ts';
import { type FakeRegistry, startFakeRegistry } from '../catalog/registry.fake.ts';
import type { ExecutorConfig } from '../config.ts';
import { createMockEngine, type MockEngine } from '../engine/mock.ts';

export const internalToken = 'a token of the tests';

/** An executor on a real database behind its real door, beside a stand-in of the registry. */
export type TestExecutor = {
  readonly app: Running;
  readonly registry: FakeRegistry;
  readonly mock: MockEngine;
  readonly peer: GrpcPeer;
  readonly config: ExecutorConfig;
  close(): Promise<void>;
};

/** Starts one; several can share a database and a registry. */
export async function startTestExecutor(
  databaseUrl: string,
  more: {
    readonly registry?: FakeRegistry;
    readonly parts?: ExecutorParts;
    readonly config?: Partial<ExecutorConfig>;
  } = {},
): Promise<TestExecutor> {
  const registry = more.registry ?? (await startFakeRegistry(internalToken));
  const mock = createMockEngine();
  const config: ExecutorConfig = {
    address: { host: '127.0.0.1', port: 0 },
    registryAddresses: parseAddresses(registry.address)!,
    sidecarAddresses: [{ host: '127.0.0.1', port: 1 }],
    toolsAllowPrivate: true,
    databaseUrl,
    internalToken,
    lm: undefined,
    lmAllowPrivate: true,
    fieldTypesPath: undefined,
    functionsPath: undefined,
    metricsAddress: undefined,
    logLevel: 'silent',
    telemetry: noTelemetry,
    attachedMax: 1000,
    backlogMax: 10_000,
    optimizationsMax: 1,
    detachedMax: 64,
    retentionMs: undefined,
    ...more.config,
  };
  const app = await createExecutorApp(config, { engines: [mock], graceMs: 300, ...more.parts });
  const telemetry = createTelemetry('test', noTelemetry);
  const peer = createGrpcPeer({ telemetry, internalToken, peer: 'executor', address: app.listening.grpc! });
  return {
    app,
    registry,
    mock,
    peer,
    config,
    async close() {
      peer.close();
      await app.close();
      if (more.registry === undefined) await registry.close();
    },
  };
}

/** The surroundings of a call from a test. */
export function callerContext(more: Partial<OutgoingContext> & { readonly role?: Role } = {}): OutgoingContext {
  const { role, ...rest } = more;
  const principal = { keyId: 'key-1', name: 'tester', role: role ?? 'runner' } as const;
  return {
    signal: new AbortController().signal,
    deadlineMs: Date.now() + 20_000,
    trace: ROOT_CONTEXT,
    principal,
    ...rest,
  };
}

/** Inputs as JSON text. */
export function json(value: unknown): Payload {
  return { kind: { $case: 'json', value: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)) } };
}

/** The outputs or inputs of an answer, whichever form they have. */
export function plain(payload: Payload | undefined): Record<string, unknown> {
  if (payload?.kind?.$case === 'json') return JSON.parse(payload.kind.value.toString('utf8'));
  return payload?.kind?.value ?? {};
}

/** Runs a program and waits. */
export function execute(test: TestExecutor, request: Partial<ExecuteProgramRequest>, ctx = callerContext()) {
  return test.peer.unary(runtime.executeProgram, ExecuteProgramRequest.fromPartial(request as never), ctx);
}

/** Asks for a detached execution. */
export function create(test: TestExecutor, request: Partial<CreateExecutionRequest>, ctx = callerContext()) {
  return test.peer.unary(executions.createExecution, CreateExecutionRequest.fromPartial(request as never), ctx);
}

/** Reads an execution. */
export function read(test: TestExecutor, execution: string, ctx = callerContext()) {
  return test.peer.unary(executions.getExecution, { execution }, ctx);
}

/** Waits for an execution's end. */
export function wait(test: TestExecutor, execution: string, timeoutMs = 10_000, ctx = callerContext()) {
  return test.peer.unary(executions.waitExecution, { execution, timeoutMs: BigInt(timeoutMs) }, ctx);
}
