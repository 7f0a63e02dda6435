import type { MethodDefinition } from '@grpc/grpc-js';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import type { Role } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { createGrpcPeer, type OutgoingContext } from '@signet/kit/grpc/client.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { noTelemetry } from '@signet/kit/telemetry/telemetry-config.ts';
import {
  type CatalogChange,
  RegistryInternalServiceService as inner,
} from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { ApiKeyServiceService as apiKeys } from '@signet/proto/gen/signet/v1/api_key_service.ts';
import {
  CreateProgramRequest,
  type DeepPartial,
  ProgramServiceService as programs,
} from '@signet/proto/gen/signet/v1/program_service.ts';
import { SignatureServiceService as signatures } from '@signet/proto/gen/signet/v1/signature_service.ts';
import { createRegistryApp, type RegistryOptions } from '../app.ts';
import type { RegistryConfig } from '../config.ts';

export { apiKeys, inner, programs, signatures };

export const internalToken = 'the internal token of the tests';
export const secretKey = 'a secret key that only tests use, 0123456789';
export const adminKey = 'an-admin-key-that-only-tests-use-0123456789';

/** A registry on a real database behind its real door. */
export type TestRegistry = Awaited<ReturnType<typeof startTestRegistry>>;

/** Starts one; several can share a database. */
export async function startTestRegistry(
  databaseUrl: string,
  more: { readonly options?: RegistryOptions; readonly config?: Partial<RegistryConfig> } = {},
) {
  const config: RegistryConfig = {
    address: { host: '127.0.0.1', port: 0 },
    databaseUrl,
    secretKey,
    previousSecretKey: undefined,
    internalToken,
    adminKey,
    lmAllowPrivate: false,
    signatureParser: 'enhanced',
    fieldTypesPath: undefined,
    functionsPath: undefined,
    metricsAddress: undefined,
    logLevel: 'silent',
    telemetry: noTelemetry,
    ...more.config,
  };
  const app = await createRegistryApp(config, more.options);
  const telemetry = createTelemetry('test', noTelemetry);
  const peer = createGrpcPeer({ telemetry, internalToken, peer: 'registry', address: app.listening.grpc! });
  return {
    app,
    /** Calls a method, as a key's owner if a role is given. */
    call<Req, Res>(method: MethodDefinition<Req, Res>, request: Req, role?: Role): Promise<Res> {
      return peer.unary(method, request, background(new AbortController().signal, role));
    },
    /** Calls a client stream, as a key's owner if a role is given. */
    upload<Req, Res>(method: MethodDefinition<Req, Res>, requests: AsyncIterable<Req>, role?: Role): Promise<Res> {
      return peer.upload(method, requests, background(new AbortController().signal, role));
    },
    /** Opens a server stream. */
    stream<Req, Res>(method: MethodDefinition<Req, Res>, request: Req): AsyncIterable<Res> {
      return peer.stream(method, request, background(new AbortController().signal));
    },
    /** Watches the catalog until the signal is aborted. */
    watch(afterRevision: bigint, signal: AbortSignal): AsyncIterable<CatalogChange> {
      return peer.stream(inner.watchCatalog, { afterRevision }, background(signal));
    },
    /** Makes a program. */
    createProgram(fields: DeepPartial<CreateProgramRequest> = {}) {
      const request = CreateProgramRequest.fromPartial({
        name: 'qa',
        ...(fields.signature || fields.signatureModule ? {} : { signatureSpec: 'question: str -> answer: str' }),
        ...fields,
      });
      return this.call(programs.createProgram, request);
    },
    /** Takes a program to READY. */
    async makeReady(program: string) {
      const begun = await this.call(inner.beginInitialize, { program });
      const { programId, version } = begun.program!;
      const preparation = {
        state: 2,
        dspyProgramId: `prepared-${version}`,
        errorMessage: '',
        dialect: {},
        nativeFault: '',
        createTime: undefined,
      } as const;
      return this.call(inner.finishInitialize, { programId, fencingToken: begun.fencingToken, version, preparation });
    },
    async close(): Promise<void> {
      peer.close();
      await app.close();
      await telemetry.shutdown();
    },
  };
}

/** The AppError that a call ends with; throws if it ends well. */
export async function refusal(call: Promise<unknown>): Promise<AppError> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof AppError) return outcome;
  throw outcome ?? new Error('was not refused');
}

function background(signal: AbortSignal, role?: Role): OutgoingContext {
  const principal = role === undefined ? undefined : { keyId: `key-of-${role}`, name: role, role };
  return { signal, deadlineMs: undefined, trace: ROOT_CONTEXT, principal };
}
