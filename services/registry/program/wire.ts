import type { CallContext } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { AdapterType as WireAdapter } from '@signet/proto/gen/signet/v1/common.ts';
import {
  PreparationState,
  type ProgramConfiguration,
  type Preparation as WirePreparation,
  type Program as WireProgram,
  ProgramStatus as WireStatus,
  type ProgramVersion as WireVersion,
} from '@signet/proto/gen/signet/v1/program.ts';
import type {
  CreateProgramRequest,
  ImportProgramVersionRequest,
  ListProgramsRequest,
  UpdateProgramRequest,
} from '@signet/proto/gen/signet/v1/program_service.ts';
import { etagOf } from '../check/etag.ts';
import { toWireSignature } from '../signature/wire.ts';
import type { GivenConfiguration } from './check-configuration.ts';
import type { CreateProgramInput } from './create-program.ts';
import type { ImportVersionInput } from './import-version.ts';
import { isPickle, type PayloadKind, readPayload, toPayload } from './payload-wire.ts';
import { toWirePipeline, wireKinds } from './pipeline-wire.ts';
import type {
  AdapterType,
  Configuration,
  LmOptions,
  Preparation,
  Program,
  ProgramStatus,
  ProgramVersion,
  ProgramView,
} from './program.ts';
import type { ListProgramsInput } from './read-programs.ts';
import { readServingPolicy, toWireServingPolicy } from './serving-policy-wire.ts';
import type { ProgramField, UpdateProgramInput } from './update-program.ts';

/** States on the wire. */
export const wireStatuses: Record<ProgramStatus, WireStatus> = {
  draft: WireStatus.PROGRAM_STATUS_DRAFT,
  initializing: WireStatus.PROGRAM_STATUS_INITIALIZING,
  ready: WireStatus.PROGRAM_STATUS_READY,
  optimizing: WireStatus.PROGRAM_STATUS_OPTIMIZING,
  error: WireStatus.PROGRAM_STATUS_ERROR,
  archived: WireStatus.PROGRAM_STATUS_ARCHIVED,
};

/** Choices of engines on the wire. */
export const wireAdapters: Record<AdapterType, WireAdapter> = {
  python_port: WireAdapter.ADAPTER_TYPE_PYTHON_PORT,
  native: WireAdapter.ADAPTER_TYPE_NATIVE,
  mock: WireAdapter.ADAPTER_TYPE_MOCK,
};

/** Reads a choice of engines; `fallback` if nothing is said, undefined for a value that nobody knows. */
export function readAdapter(wire: number, fallback: AdapterType): AdapterType | undefined {
  if (wire === 0) return fallback;
  return (Object.keys(wireAdapters) as AdapterType[]).find((adapter) => wireAdapters[adapter] === wire);
}

/** The form in which a caller wants payloads: what it says, else the form that it sent, else Struct. */
export function payloadKind(ctx: CallContext, configuration?: ProgramConfiguration): PayloadKind {
  if (ctx.header('signet-payload') === 'json') return 'json';
  const sent = [...(configuration?.demos ?? []), ...(configuration?.modules ?? [])];
  return sent.some(({ kind }) => kind?.$case === 'json') ? 'json' : 'struct';
}

/** Writes a program. */
export function toWireProgram(view: ProgramView, kind: PayloadKind): WireProgram {
  const { program, configuration, demos } = view;
  const isPipeline = program.kind === 'pipeline';
  return {
    id: program.id,
    slug: program.slug,
    name: program.name,
    description: program.description,
    status: wireStatuses[program.status],
    adapterType: wireAdapters[program.adapterType],
    signatureId: program.signatureId ?? '',
    signatureModule: program.signatureModule,
    configuration: isPipeline ? undefined : toWireConfiguration(configuration, demos, kind),
    variables: program.variables,
    optimizationHistory: program.optimizationHistory,
    dspyProgramId: program.dspyProgramId,
    errorMessage: program.errorMessage,
    servingVersion: program.servingVersion,
    latestVersion: program.latestVersion,
    labels: program.labels,
    optimizerId: program.optimizerId ?? '',
    kind: wireKinds[program.kind],
    pipelineSpec: toWirePipeline(view.pipelineSpec),
    modules: [...view.modules],
    servingPolicy: toWireServingPolicy(program.servingPolicy),
    etag: etagOf(program),
    createTime: program.createTime,
    updateTime: program.updateTime,
  };
}

/** Writes a configuration with its demos. */
export function toWireConfiguration(
  configuration: Configuration,
  demos: readonly string[],
  kind: PayloadKind,
): ProgramConfiguration {
  const { seed, stop, ...options } = configuration.lmOptions;
  return {
    module: configuration.module,
    promptAdapter: configuration.promptAdapter,
    lm: configuration.lm,
    lmOptions: { ...options, stop: [...(stop ?? [])], ...(seed === undefined ? {} : { seed: BigInt(seed) }) },
    instructions: configuration.instructions,
    demos: demos.map((text) => toPayload(text, kind)),
    modules: configuration.modules.map((text) => toPayload(text, kind)),
    metadata: configuration.metadata,
    moduleConfig: hasKeys(configuration.moduleConfig) ? configuration.moduleConfig : undefined,
  };
}

function hasKeys(record: Record<string, unknown> | undefined): boolean {
  return record !== undefined && Object.keys(record).length > 0;
}

/** Writes a version of a program. */
export function toWireVersion(
  program: Program,
  version: ProgramVersion,
  kind: PayloadKind,
  withPlan: boolean,
): WireVersion {
  return {
    id: version.id,
    programId: version.programId,
    version: version.version,
    signature: toWireSignature(version.signature),
    configuration:
      version.pipelineSpec === '' ? toWireConfiguration(version.configuration, version.demos, kind) : undefined,
    parentVersion: version.parentVersion,
    source: version.source,
    preparation: toWirePreparation(version.preparation, withPlan ? kind : undefined),
    serving: version.version === program.servingVersion,
    lineage: toWireLineage(version),
    pipelineSpec: toWirePipeline(version.pipelineSpec),
    modules: [...version.modules],
    createTime: version.createTime,
  };
}

function toWireLineage({ lineage, scoreBefore, scoreAfter }: ProgramVersion): WireVersion['lineage'] {
  if (!lineage) return undefined;
  return { ...lineage, scoreBefore: scoreBefore ?? undefined, scoreAfter: scoreAfter ?? undefined };
}

/** Writes what an engine made of a version; its plan only if a form for it is asked for. */
export function toWirePreparation(preparation: Preparation, planKind?: PayloadKind): WirePreparation {
  const states = {
    none: PreparationState.PREPARATION_STATE_NONE,
    ready: PreparationState.PREPARATION_STATE_READY,
    error: PreparationState.PREPARATION_STATE_ERROR,
  };
  return {
    state: states[preparation.state],
    dspyProgramId: preparation.dspyProgramId,
    errorMessage: preparation.errorMessage,
    dialect: { ...preparation.dialect },
    createTime: preparation.createTime,
    promptPlan:
      planKind === undefined || preparation.planJson === '' ? undefined : toPayload(preparation.planJson, planKind),
    nativeFault: preparation.nativeFault,
  };
}

/** Reads what an engine made of a version; texts are cut where the table would grow without end. */
export function readPreparation(wire: WirePreparation | undefined): Preparation {
  const isReady = wire?.state === PreparationState.PREPARATION_STATE_READY;
  const isError = wire?.state === PreparationState.PREPARATION_STATE_ERROR;
  const clean = (text: string): string => text.toWellFormed().replaceAll('\0', '');
  return {
    state: isReady ? 'ready' : isError ? 'error' : 'none',
    dspyProgramId: isReady ? clean(wire.dspyProgramId).slice(0, 500) : '',
    errorMessage: isError ? clean(wire.errorMessage).slice(0, 4000) : '',
    dialect: wire?.dialect ?? {},
    planJson: isReady && wire.promptPlan?.kind?.$case === 'json' ? wire.promptPlan.kind.value.toString('utf8') : '',
    nativeFault: isReady ? clean(wire.nativeFault).slice(0, 4000) : '',
    createTime: undefined,
  };
}

/** Reads a request to make a program. */
export function readCreate(request: CreateProgramRequest): CreateProgramInput {
  const { name, slug, description, signature, signatureSpec, signatureModule, signatureParser, variables, labels } =
    request;
  return {
    name,
    slug,
    description,
    signature,
    signatureSpec,
    signatureModule,
    signatureParser,
    adapterType: readAdapter(request.adapterType, 'python_port'),
    configuration: readConfiguration(request.configuration),
    variables,
    labels,
    optimizer: request.optimizer,
  };
}

/** Reads a request for a page of programs; INVALID_REQUEST for a status that nobody knows. */
export function readList(request: ListProgramsRequest): ListProgramsInput {
  const { pageSize, pageToken, filter, orderBy, includeArchived, name } = request;
  const status = (Object.keys(wireStatuses) as ProgramStatus[]).find((key) => wireStatuses[key] === request.status);
  if (status === undefined && request.status !== 0) {
    throw invalidField('status', 'is not a known value', 'UNKNOWN_VALUE');
  }
  return { pageSize, pageToken, filter, orderBy, includeArchived, name, status };
}

/** Reads a request to change a program. */
export function readUpdate(request: UpdateProgramRequest): UpdateProgramInput {
  const { program, etag, updateMask, name, slug, description, configuration, variables, labels } = request;
  const given: Record<ProgramField, boolean> = {
    name: name !== undefined,
    slug: slug !== undefined,
    description: description !== undefined,
    configuration: configuration !== undefined,
    variables: variables !== undefined,
    labels: Object.keys(labels).length > 0,
    optimizer: request.optimizer !== undefined,
    serving_policy: request.servingPolicy !== undefined,
    pipeline_spec: request.pipelineSpec !== undefined,
  };
  return {
    program,
    etag,
    updateMask,
    set: (Object.keys(given) as ProgramField[]).filter((field) => given[field]),
    name: name ?? '',
    slug: slug ?? '',
    description: description ?? '',
    configuration: readConfiguration(configuration),
    variables,
    labels,
    optimizer: request.optimizer ?? '',
    servingPolicy: readServingPolicy(request.servingPolicy),
    pipelineSpec: request.pipelineSpec,
  };
}

/** Reads a request to import what DSPy saved. */
export function readImport(request: ImportProgramVersionRequest): ImportVersionInput {
  const { program, state, module, etag } = request;
  return { program, module, etag, state: isPickle(state) ? 'pickle' : readPayload(state ?? {}) };
}

/** Reads a configuration as a caller wrote it. */
export function readConfiguration(wire: ProgramConfiguration | undefined): GivenConfiguration {
  return {
    module: wire?.module ?? '',
    promptAdapter: wire?.promptAdapter ?? '',
    lm: wire?.lm ?? '',
    lmOptions: readLmOptions(wire?.lmOptions),
    instructions: wire?.instructions ?? '',
    demos: (wire?.demos ?? []).map(readPayload),
    modules: (wire?.modules ?? []).map(readPayload),
    metadata: wire?.metadata,
    moduleConfig: wire?.moduleConfig,
  };
}

function readLmOptions(wire: ProgramConfiguration['lmOptions']): LmOptions {
  if (wire === undefined) return {};
  const { temperature, maxTokens, topP, stop, seed, presencePenalty, frequencyPenalty } = wire;
  return {
    ...(temperature === undefined ? {} : { temperature }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(topP === undefined ? {} : { topP }),
    ...(stop.length === 0 ? {} : { stop }),
    ...(seed === undefined ? {} : { seed: String(seed) }),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
  };
}
