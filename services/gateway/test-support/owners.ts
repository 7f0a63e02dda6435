import type { ServiceDefinition } from '@grpc/grpc-js';
import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { createGrpcServer, type GrpcServer, type Handlers } from '@signet/kit/grpc/server.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import type { Running } from '@signet/kit/process/run-main.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { noTelemetry, type TelemetryConfig } from '@signet/kit/telemetry/telemetry-config.ts';
import { RegistryInternalServiceService } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { Role } from '@signet/proto/gen/signet/v1/api_key.ts';
import { ApiKeyServiceService } from '@signet/proto/gen/signet/v1/api_key_service.ts';
import { AuditServiceService } from '@signet/proto/gen/signet/v1/audit_service.ts';
import { Batch, BatchExecuteResult } from '@signet/proto/gen/signet/v1/batch.ts';
import { BatchServiceService } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { DatasetServiceService } from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { EvaluationServiceService } from '@signet/proto/gen/signet/v1/evaluation_service.ts';
import type { ExecutionResult } from '@signet/proto/gen/signet/v1/execution.ts';
import { ExecutionServiceService } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { LanguageModelServiceService } from '@signet/proto/gen/signet/v1/language_model_service.ts';
import { ModuleServiceService } from '@signet/proto/gen/signet/v1/module_service.ts';
import { OptimizationServiceService } from '@signet/proto/gen/signet/v1/optimization_service.ts';
import { OptimizerServiceService } from '@signet/proto/gen/signet/v1/optimizer_service.ts';
import type { Program } from '@signet/proto/gen/signet/v1/program.ts';
import { ProgramServiceService } from '@signet/proto/gen/signet/v1/program_service.ts';
import { RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { SignatureServiceService } from '@signet/proto/gen/signet/v1/signature_service.ts';
import { createGatewayApp } from '../app.ts';
import type { GatewayConfig } from '../config.ts';

/** What a call was, as an owner saw it. */
export type Seen = { readonly method: string; readonly request: Record<string, unknown>; readonly ctx: CallContext };

/** What an owner in a test answers: a message, a stream of them, or a failure. Streamed requests come as an async iterable. */
export type Answer = (request: never, ctx: CallContext) => unknown;

/** A gateway before two real gRPC servers that answer what the test says. */
export type GatewayRig = {
  readonly http: string;
  readonly grpc: string;
  readonly seen: Seen[];
  /** How often the registry was asked whose a key is. */
  readonly keyQuestions: () => number;
  /** Sets the answer of a method, by its name. */
  answer(method: string, answer: Answer): void;
  /** Forgets every answer and everything seen. */
  reset(): void;
  /** A request with the admin key unless said otherwise. */
  fetch(path: string, init?: RequestInit & { key?: string | null }): Promise<Response>;
  close(): Promise<void>;
  readonly app: Running;
};

/** Keys that the rig's registry knows, by role. */
export const rigKeys = {
  viewer: 'sgn_viewer_0123456789012345678901',
  runner: 'sgn_runner_0123456789012345678901',
  editor: 'sgn_editor_0123456789012345678901',
  admin: 'sgn_admin_01234567890123456789012',
  expired: 'sgn_expired_012345678901234567890',
} as const;

/** The token between the rig's processes. */
export const rigToken = 'rig-internal-token';

const roleNumbers = {
  viewer: Role.ROLE_VIEWER,
  runner: Role.ROLE_RUNNER,
  editor: Role.ROLE_EDITOR,
  admin: Role.ROLE_ADMIN,
};

/** Starts a rig on free ports. */
export async function startRig(
  overrides: Partial<GatewayConfig> = {},
  telemetryConfig: TelemetryConfig = noTelemetry,
): Promise<GatewayRig> {
  const log = createLogger('owner', 'silent');
  const telemetry = createTelemetry('owner', telemetryConfig);
  const seen: Seen[] = [];
  const answers = new Map<string, Answer>();
  let questions = 0;
  const registry = createGrpcServer({ telemetry, log, internalToken: rigToken });
  const executor = createGrpcServer({ telemetry, log, internalToken: rigToken });
  const add = (server: GrpcServer, service: ServiceDefinition): void => {
    const handlers: Record<string, unknown> = {};
    for (const [name, definition] of Object.entries(service)) {
      emptyByPath.set(definition.path, () => definition.responseDeserialize(Buffer.alloc(0)));
      handlers[name] = handlerOf(definition, answers, seen);
    }
    server.add(service, handlers as Handlers<ServiceDefinition>);
  };
  const definitions = (service: unknown): ServiceDefinition => service as ServiceDefinition;
  add(registry, definitions(SignatureServiceService));
  add(registry, definitions(ProgramServiceService));
  add(registry, definitions(ApiKeyServiceService));
  add(registry, definitions(AuditServiceService));
  add(registry, definitions(LanguageModelServiceService));
  add(registry, definitions(ModuleServiceService));
  add(registry, definitions(RegistryInternalServiceService));
  add(executor, definitions(RuntimeServiceService));
  add(executor, definitions(ExecutionServiceService));
  add(executor, definitions(BatchServiceService));
  add(registry, definitions(DatasetServiceService));
  add(registry, definitions(OptimizerServiceService));
  add(executor, definitions(OptimizationServiceService));
  add(executor, definitions(EvaluationServiceService));
  const answerKeys = (): void => {
    answers.set('AuthenticateKey', ({ key }: { key: string }) => {
      questions++;
      if (key === rigKeys.expired) throw new AppError('KEY_EXPIRED', 'The key has expired');
      const role = (Object.keys(roleNumbers) as (keyof typeof roleNumbers)[]).find((name) => rigKeys[name] === key);
      if (role === undefined) throw new AppError('KEY_INVALID', 'The key is not known');
      return { keyId: `key-${role}`, name: role, role: roleNumbers[role], expireTime: undefined };
    });
  };
  answerKeys();
  const loopback = { host: '127.0.0.1', port: 0 };
  const app = await createGatewayApp({
    http: loopback,
    grpc: loopback,
    registryAddress: await registry.listen(loopback),
    executorAddress: await executor.listen(loopback),
    internalToken: rigToken,
    rateLimit: undefined,
    inFlightMax: 1000,
    telemetry: telemetryConfig,
    logLevel: 'silent',
    lingerMs: 0,
    graceMs: 2000,
    heartbeatMs: 15_000,
    ...overrides,
  });
  const http = `http://${app.listening.http}`;
  return {
    app,
    http,
    grpc: app.listening.grpc!,
    seen,
    keyQuestions: () => questions,
    answer: (method, answer) => void answers.set(method, answer),
    reset() {
      seen.length = 0;
      answers.clear();
      answerKeys();
    },
    fetch: (path, { key = rigKeys.admin, ...init } = {}) => {
      const headers = new Headers(init.headers);
      if (key !== null) headers.set('authorization', `Bearer ${key}`);
      if (init.body !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
      return fetch(`${http}${path}`, { ...init, headers });
    },
    async close() {
      await app.close();
      await Promise.all([registry.close(500), executor.close(500)]);
      await telemetry.shutdown();
    },
  };
}

/** A program as an owner answers it, every field set. */
export function sampleProgram(changes: Partial<Program> = {}): Program {
  return {
    id: '0197',
    slug: 'qa',
    name: 'qa',
    description: '',
    status: 1,
    adapterType: 1,
    signatureId: 's',
    signatureModule: 'S',
    configuration: undefined,
    variables: undefined,
    optimizationHistory: [],
    dspyProgramId: '',
    errorMessage: '',
    kind: 1,
    pipelineSpec: undefined,
    modules: [],
    optimizerId: '',
    servingVersion: 0,
    latestVersion: 1,
    labels: {},
    etag: 'e1',
    createTime: new Date(0),
    updateTime: new Date(0),
    ...changes,
  };
}

/** A batch as an owner answers it. */
export function sampleBatch(changes: Partial<Batch> = {}): Batch {
  return { ...Batch.decode(Buffer.alloc(0)), id: 'b1', program: 'qa', ...changes };
}

/** The result of one item of a batch as an owner answers it. */
export function sampleBatchResult(changes: Partial<BatchExecuteResult> = {}): BatchExecuteResult {
  return { ...BatchExecuteResult.decode(Buffer.alloc(0)), ...changes };
}

/** A result as an owner answers it. */
export function sampleResult(json: string): ExecutionResult {
  return {
    executionId: 'x1',
    status: 3,
    outputs: { kind: { $case: 'json', value: Buffer.from(json) } },
    durationMs: 12n,
    traceId: 't',
    engine: 1,
    programId: 'p',
    version: 1,
    cacheHit: false,
    degraded: false,
  };
}

function handlerOf(definition: ServiceDefinition[string], answers: ReadonlyMap<string, Answer>, seen: Seen[]) {
  const make = definition.responseStream ? streamHandler : unaryHandler;
  return make(answers, seen, definition.path);
}

const emptyByPath = new Map<string, () => unknown>();

// An answer of defaults: what the method's message is when nothing was written.
function empty(path: string): unknown {
  return emptyByPath.get(path)?.() ?? {};
}

function unaryHandler(answers: ReadonlyMap<string, Answer>, seen: Seen[], path: string) {
  return async (request: unknown, ctx: CallContext): Promise<unknown> => {
    const method = path.split('/')[2]!;
    if (method !== 'AuthenticateKey') seen.push({ method, request: request as Record<string, unknown>, ctx });
    const answer = answers.get(method);
    return answer === undefined ? empty(path) : answer(request as never, ctx);
  };
}

function streamHandler(answers: ReadonlyMap<string, Answer>, seen: Seen[], path: string) {
  return async function* (request: unknown, ctx: CallContext): AsyncIterable<unknown> {
    const method = path.split('/')[2]!;
    seen.push({ method, request: request as Record<string, unknown>, ctx });
    const answer = answers.get(method);
    if (answer !== undefined) yield* answer(request as never, ctx) as AsyncIterable<unknown>;
  };
}
