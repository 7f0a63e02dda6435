import { AppError } from '@signet/kit/error/app-error.ts';
import { createGrpcServer, type Handlers } from '@signet/kit/grpc/server.ts';
import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { noTelemetry } from '@signet/kit/telemetry/telemetry-config.ts';
import {
  type CatalogChange,
  RegistryInternalServiceService,
  type ReportedModule,
  ResolvedProgram,
} from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { AdapterType } from '@signet/proto/gen/signet/v1/common.ts';
import { Preparation, Program, ProgramConfiguration, ProgramStatus } from '@signet/proto/gen/signet/v1/program.ts';
import { Signature } from '@signet/proto/gen/signet/v1/signature.ts';

/** A program to be put into the stand-in; what is left out has a plain default. */
export type FakeProgram = {
  readonly slug: string;
  readonly spec: string;
  readonly adapterType?: AdapterType;
  readonly status?: ProgramStatus;
  readonly strictMode?: boolean;
  readonly configuration?: Partial<ProgramConfiguration>;
  /** What it is composed of, in the full form of a spec. */
  readonly pipeline?: unknown;
};

/** Stands in for the registry at its door: real gRPC, programs in memory. For tests of the executor alone. */
export type FakeRegistry = {
  readonly address: string;
  readonly reported: ReportedModule[];
  put(program: FakeProgram): ResolvedProgram;
  /** Changes a program and tells those who watch. */
  change(slug: string, change: Partial<ResolvedProgram>): void;
  /** Answers questions for programs with this error until it is called without one. */
  refuse(error?: AppError): void;
  /** How often programs were asked for one by one. */
  readonly resolves: number;
  close(): Promise<void>;
};

const status = ProgramStatus;

/** Starts the stand-in. */
export async function startFakeRegistry(internalToken: string, port = 0): Promise<FakeRegistry> {
  const telemetry = createTelemetry('registry', noTelemetry);
  const server = createGrpcServer({ telemetry, log: createLogger('registry', 'silent'), internalToken });
  const programs = new Map<string, ResolvedProgram>();
  const reported: ReportedModule[] = [];
  const watchers = new Set<(change: CatalogChange) => void>();
  let revision = 0n;
  let resolves = 0;
  let refusal: AppError | undefined;
  let fencing = 0n;
  const find = (name: string): ResolvedProgram => {
    const found = [...programs.values()].find(({ programId, slug }) => programId === name || slug === name);
    if (found === undefined) throw new AppError('PROGRAM_NOT_FOUND', `There is no program \`${name}\``);
    return found;
  };
  const store = (program: ResolvedProgram): ResolvedProgram => {
    revision += 1n;
    const stored = { ...program, revision };
    programs.set(program.programId, stored);
    for (const watcher of watchers) watcher({ revision, change: { $case: 'program', value: stored } });
    return stored;
  };
  const put = (program: FakeProgram): ResolvedProgram => store(resolvedOf(program));
  server.add(RegistryInternalServiceService, {
    ...unanswered(),
    async resolveProgram({ program, version }) {
      resolves++;
      if (refusal !== undefined) throw refusal;
      const found = find(program);
      if (version !== 0 && version !== found.version) throw new AppError('VERSION_NOT_FOUND', `no version ${version}`);
      return found;
    },
    async resolveLanguageModel({ languageModel }) {
      throw new AppError('LM_NOT_FOUND', `There is no language model \`${languageModel}\``);
    },
    async *watchCatalog({ afterRevision }, ctx) {
      const queue: CatalogChange[] = [...programs.values()]
        .filter((program) => program.revision > afterRevision)
        .map((value) => ({ revision: value.revision, change: { $case: 'program', value } }));
      queue.push({ revision, change: { $case: 'synced', value: {} } });
      let wake = (): void => {};
      const hear = (change: CatalogChange): void => {
        queue.push(change);
        wake();
      };
      watchers.add(hear);
      try {
        while (!ctx.signal.aborted) {
          for (const change of queue.splice(0)) yield change;
          await new Promise<void>((resolve) => {
            wake = resolve;
            ctx.signal.addEventListener('abort', () => resolve());
            if (ctx.signal.aborted || queue.length > 0) resolve();
          });
        }
      } finally {
        watchers.delete(hear);
      }
    },
    async beginInitialize({ program }) {
      const found = find(program);
      if (found.status !== status.PROGRAM_STATUS_DRAFT) {
        throw new AppError('STATE_FORBIDS', 'Only draft programs can be initialized', { metadata: { state: 'x' } });
      }
      fencing += 1n;
      return {
        fencingToken: fencing,
        program: store({ ...found, status: status.PROGRAM_STATUS_INITIALIZING }),
      };
    },
    async finishInitialize({ programId, preparation }) {
      const found = find(programId);
      const failed = preparation?.errorMessage !== '';
      const next = store({
        ...found,
        status: failed ? status.PROGRAM_STATUS_ERROR : status.PROGRAM_STATUS_READY,
        errorMessage: preparation?.errorMessage ?? '',
        servingVersion: failed ? 0 : found.version,
        preparation,
      });
      return Program.fromPartial({
        id: next.programId,
        slug: next.slug,
        name: next.name,
        status: next.status,
        errorMessage: next.errorMessage,
        dspyProgramId: preparation?.dspyProgramId ?? '',
      });
    },
    async renewTransition() {
      return {};
    },
    async putPreparation({ preparation }) {
      return Preparation.fromPartial(preparation ?? {});
    },
    async setServingVersion({ program }) {
      throw new AppError('PROGRAM_NOT_FOUND', `There is no program \`${program}\``);
    },
    async reportModules({ modules }) {
      reported.splice(0, reported.length, ...modules);
      return {};
    },
    async ensureQuickProgram({ signatureSpec, adapterType }) {
      const slug = `quick-${adapterType}-${Buffer.from(signatureSpec).toString('hex').slice(0, 40)}`;
      const found = [...programs.values()].find((program) => program.slug === slug);
      return found ?? put({ slug, spec: signatureSpec, adapterType, status: status.PROGRAM_STATUS_DRAFT });
    },
    async resolveModule({ module }) {
      throw new AppError('MODULE_NOT_FOUND', `There is no module \`${module}\``);
    },
    async ensureModuleProgram({ module }) {
      throw new AppError('MODULE_NOT_FOUND', `There is no module \`${module}\``);
    },
    async reportBackend() {
      return {};
    },
    async getSignatureUsers({ signature }) {
      throw new AppError('SIGNATURE_NOT_FOUND', `There is no signature \`${signature}\``);
    },
    async authenticateKey() {
      throw new AppError('KEY_INVALID', 'no keys here');
    },
  });
  const address = await server.listen({ host: '127.0.0.1', port });
  return {
    address,
    reported,
    put,
    change: (slug, change) => void store({ ...find(slug), ...change }),
    refuse: (error) => {
      refusal = error;
    },
    get resolves() {
      return resolves;
    },
    close: () => server.close(200),
  };
}

type InternalHandlers = Handlers<typeof RegistryInternalServiceService>;

// What no test of the executor alone asks for.
function unanswered(): InternalHandlers {
  const refuse = async () => {
    throw new AppError('STATE_FORBIDS', 'The stand-in of the registry does not answer this');
  };
  const names = Object.keys(RegistryInternalServiceService);
  return Object.fromEntries(names.map((name) => [name, refuse])) as unknown as InternalHandlers;
}

function resolvedOf(program: FakeProgram): ResolvedProgram {
  const ready = (program.status ?? status.PROGRAM_STATUS_READY) === status.PROGRAM_STATUS_READY;
  return ResolvedProgram.fromPartial({
    programId: newId(),
    slug: program.slug,
    name: program.slug,
    status: program.status ?? status.PROGRAM_STATUS_READY,
    errorMessage: '',
    adapterType: program.adapterType ?? AdapterType.ADAPTER_TYPE_MOCK,
    version: 1,
    servingVersion: ready ? 1 : 0,
    signature: Signature.fromPartial({
      spec: program.spec,
      strictMode: program.strictMode ?? true,
      mlTypes: ['embedding', 'probability', 'tensor'],
    }),
    configuration: ProgramConfiguration.fromPartial({
      module: 'predict',
      promptAdapter: 'chat',
      ...program.configuration,
    }),
    preparation: ready ? Preparation.fromPartial({ state: 2, dspyProgramId: 'mock-prepared' }) : undefined,
    deleted: false,
    revision: 0n,
    pipelineJson: Buffer.from(program.pipeline === undefined ? '' : JSON.stringify(program.pipeline)),
  });
}
