import { ROOT_CONTEXT } from '@opentelemetry/api';
import type { GrpcPeer, OutgoingContext } from '@signet/kit/grpc/client.ts';
import {
  type CatalogChange,
  RegistryInternalServiceService as methods,
  type ReportBackendRequest,
  type ReportedModule,
  type ResolvedLanguageModel,
  type ResolvedModule,
  type ResolvedProgram,
  type SignatureUsers,
} from '@signet/proto/gen/signet/internal/v1/registry.ts';
import type { AdapterType as WireAdapterType } from '@signet/proto/gen/signet/v1/common.ts';
import type { Preparation, Program } from '@signet/proto/gen/signet/v1/program.ts';

export type {
  CatalogChange,
  ReportBackendRequest,
  ReportedModule,
  ResolvedLanguageModel,
  ResolvedModule,
  ResolvedProgram,
  SignatureUsers,
};

/** A program as its owner, the registry, answers it. */
export type RegistryProgram = Program;

/** A preparation that has begun. */
export type Transition = { readonly fencingToken: bigint; readonly program: ResolvedProgram };

/** What came of a preparation. */
export type Outcome =
  | {
      readonly dspyProgramId: string;
      readonly dialect: Readonly<Record<string, string>>;
      /** Empty if there is none. */
      readonly planJson: string;
      /** Why there is none; empty if there is one. */
      readonly nativeFault: string;
    }
  | { readonly errorMessage: string };

/** What an executor asks of the registry. Failures come as AppError; SERVICE_UNAVAILABLE if the registry is away. */
export type RegistryClient = {
  resolve(program: string, version: number, ctx: OutgoingContext): Promise<ResolvedProgram>;
  resolveLanguageModel(languageModel: string, ctx: OutgoingContext): Promise<ResolvedLanguageModel>;
  watch(afterRevision: bigint, signal: AbortSignal): AsyncIterable<CatalogChange>;
  begin(program: string, ctx: OutgoingContext): Promise<Transition>;
  renew(programId: string, fencingToken: bigint, ctx: OutgoingContext): Promise<void>;
  finish(transition: Transition, outcome: Outcome, ctx: OutgoingContext): Promise<RegistryProgram>;
  putPreparation(programId: string, version: number, outcome: Outcome, ctx: OutgoingContext): Promise<void>;
  setServingVersion(
    input: { program: string; version: number; expected: number; etag: string },
    ctx: OutgoingContext,
  ): Promise<RegistryProgram>;
  ensureQuickProgram(
    signature: {
      readonly spec: string;
      readonly module: string;
      /** `predict` or `chain_of_thought`; absent means predict. */
      readonly kind?: string;
      readonly lm?: string;
      readonly instructions?: string;
      /** True for a step of a composed program. */
      readonly composed?: boolean;
    },
    adapterType: WireAdapterType,
    ctx: OutgoingContext,
  ): Promise<ResolvedProgram>;
  reportModules(modules: readonly ReportedModule[], signal: AbortSignal): Promise<void>;
  resolveModule(module: string, ctx: OutgoingContext): Promise<ResolvedModule>;
  ensureModuleProgram(module: string, mock: boolean, ctx: OutgoingContext): Promise<ResolvedProgram>;
  reportBackend(report: ReportBackendRequest, signal: AbortSignal): Promise<void>;
  signatureUsers(signature: string, ctx: OutgoingContext): Promise<SignatureUsers>;
};

/** Makes the client over a channel to the registry. */
export function createRegistryClient(peer: GrpcPeer): RegistryClient {
  return {
    resolve: (program, version, ctx) => peer.unary(methods.resolveProgram, { program, version }, ctx),
    resolveLanguageModel: (languageModel, ctx) => peer.unary(methods.resolveLanguageModel, { languageModel }, ctx),
    watch: (afterRevision, signal) => peer.stream(methods.watchCatalog, { afterRevision }, background(signal)),
    async begin(program, ctx) {
      const { fencingToken, program: resolved } = await peer.unary(methods.beginInitialize, { program }, ctx);
      return { fencingToken, program: resolved! };
    },
    async renew(programId, fencingToken, ctx) {
      await peer.unary(methods.renewTransition, { programId, fencingToken }, ctx);
    },
    finish({ fencingToken, program }, outcome, ctx) {
      const { programId, version } = program;
      const request = { programId, fencingToken, version, preparation: preparationOf(outcome) };
      return peer.unary(methods.finishInitialize, request, ctx);
    },
    async putPreparation(programId, version, outcome, ctx) {
      await peer.unary(methods.putPreparation, { programId, version, preparation: preparationOf(outcome) }, ctx);
    },
    setServingVersion({ expected, ...request }, ctx) {
      return peer.unary(methods.setServingVersion, { ...request, expectedServingVersion: expected }, ctx);
    },
    ensureQuickProgram({ spec, module, kind = '', lm = '', instructions = '', composed = false }, adapterType, ctx) {
      const named = { signatureSpec: spec, signatureModule: module, adapterType, module: kind };
      return peer.unary(methods.ensureQuickProgram, { ...named, lm, instructions, composed }, ctx);
    },
    resolveModule: (module, ctx) => peer.unary(methods.resolveModule, { module }, ctx),
    ensureModuleProgram: (module, mock, ctx) => peer.unary(methods.ensureModuleProgram, { module, mock }, ctx),
    async reportBackend(report, signal) {
      await peer.unary(methods.reportBackend, report, background(signal, Date.now() + 10_000));
    },
    signatureUsers: (signature, ctx) => peer.unary(methods.getSignatureUsers, { signature }, ctx),
    async reportModules(modules, signal) {
      await peer.unary(methods.reportModules, { modules: [...modules] }, background(signal, Date.now() + 10_000));
    },
  };
}

function background(signal: AbortSignal, deadlineMs?: number): OutgoingContext {
  return { signal, deadlineMs, trace: ROOT_CONTEXT };
}

function preparationOf(outcome: Outcome): Preparation {
  const failed = 'errorMessage' in outcome;
  return {
    state: failed ? 3 : 2,
    dspyProgramId: failed ? '' : outcome.dspyProgramId,
    errorMessage: failed ? outcome.errorMessage : '',
    dialect: failed ? {} : { ...outcome.dialect },
    promptPlan:
      failed || outcome.planJson === '' ? undefined : { kind: { $case: 'json', value: Buffer.from(outcome.planJson) } },
    nativeFault: failed ? '' : outcome.nativeFault,
    createTime: undefined,
  };
}
