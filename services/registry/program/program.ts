import { AppError } from '@signet/kit/error/app-error.ts';
import type { JsonRecord } from '../check/field-checks.ts';
import type { Signature } from '../signature/signature.ts';
import type { NamedModule } from './check-module.ts';
import type { ServingPolicy } from './serving-policy.ts';

/** Where a program stands in its life. */
export const programStatuses = ['draft', 'initializing', 'ready', 'optimizing', 'error', 'archived'] as const;

/** A state of a program. */
export type ProgramStatus = (typeof programStatuses)[number];

/** What a program runs. */
export const programKinds = ['signature', 'pipeline'] as const;

/** A kind of program. */
export type ProgramKind = (typeof programKinds)[number];

/** Which engines may serve a program. */
export const adapterTypes = ['python_port', 'native', 'mock'] as const;

/** A choice of engines. */
export type AdapterType = (typeof adapterTypes)[number];

/** How a version came to be. */
export type VersionSource = 'create' | 'update' | 'optimize' | 'import';

/** Options of every call of a language model; what is absent is left to the endpoint. */
export type LmOptions = {
  readonly temperature?: number;
  readonly maxTokens?: number;
  readonly topP?: number;
  readonly stop?: readonly string[];
  /** A 64-bit integer as text. */
  readonly seed?: string;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
};

/** How a program asks the model, its demos apart. */
export type Configuration = {
  readonly module: string;
  readonly promptAdapter: string;
  readonly lm: string;
  readonly lmOptions: LmOptions;
  readonly instructions: string;
  /** JSON texts of objects. */
  readonly modules: readonly string[];
  readonly metadata: JsonRecord;
  /** What the module is built with; absent in configurations of before. */
  readonly moduleConfig?: JsonRecord;
  /** The registered module that `module` names, as it was then. */
  readonly registered?: NamedModule;
};

/** A program as it is kept. */
export type Program = {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly description: string;
  readonly status: ProgramStatus;
  readonly kind: ProgramKind;
  readonly adapterType: AdapterType;
  readonly signatureId?: string | null;
  readonly signatureModule: string;
  readonly variables: JsonRecord;
  readonly optimizationHistory: JsonRecord[];
  readonly dspyProgramId: string;
  readonly errorMessage: string;
  readonly servingVersion: number;
  readonly latestVersion: number;
  readonly fencingToken: number;
  readonly quickKey?: string | null;
  /** The registered module behind which it stands; absent for programs of their own. */
  readonly moduleId?: string | null;
  /** The optimizer that is used if no other is named. */
  readonly optimizerId?: string | null;
  /** The job that holds it while it is OPTIMIZING. */
  readonly optimizingJob?: string | null;
  /** Who gets which version. */
  readonly servingPolicy: ServingPolicy;
  readonly labels: Record<string, string>;
  readonly rowVersion: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

/** What an engine made of a version. */
export type Preparation = {
  readonly state: 'none' | 'ready' | 'error';
  readonly dspyProgramId: string;
  readonly errorMessage: string;
  readonly dialect: Readonly<Record<string, string>>;
  /** The prompt plan as JSON text, at most 8 MiB; empty if there is none. */
  readonly planJson: string;
  /** Why there is no plan although it can be run; empty if there is one. */
  readonly nativeFault: string;
  readonly createTime: Date | undefined;
};

/** Where a version that an optimizer made comes from. */
export type Lineage = {
  readonly jobId: string;
  /** Empty if no optimizer is kept. */
  readonly optimizerId: string;
  readonly optimizerType: string;
  readonly config: JsonRecord;
  readonly datasetId: string;
  readonly datasetVersion: number;
};

/** What a program was at one time; never changes, only its preparation does. */
export type ProgramVersion = {
  readonly id: string;
  readonly programId: string;
  readonly version: number;
  readonly signature: Signature;
  readonly configuration: Configuration;
  /** JSON texts of objects, digits kept. */
  readonly demos: readonly string[];
  readonly parentVersion: number;
  readonly source: VersionSource;
  /** What DSPy had saved, as JSON text; empty for versions that were not imported. */
  readonly dspyState: string;
  /** Which optimization made it; absent for others. */
  readonly lineage?: Lineage | null;
  /** What the version that it was made of scores on the held-out split; set once, when the optimization ends. */
  readonly scoreBefore?: number | null;
  /** What it scores on the same split. */
  readonly scoreAfter?: number | null;
  /** The pipeline as it was given and as it was checked, JSON texts; empty for versions that run a signature. */
  readonly pipelineSpec: string;
  readonly pipeline: string;
  /** Ids of the modules that the pipeline is made of. */
  readonly modules: readonly string[];
  readonly preparation: Preparation;
  readonly createTime: Date;
};

/** A program with its newest configuration: what callers see. */
export type ProgramView = {
  readonly program: Program;
  readonly configuration: Configuration;
  readonly demos: readonly string[];
  /** The pipeline as it was given, JSON text; empty for programs that run a signature. */
  readonly pipelineSpec: string;
  /** Ids of the modules that the pipeline is made of. */
  readonly modules: readonly string[];
};

/** A version that no engine has prepared. */
export const unprepared: Preparation = {
  state: 'none',
  dspyProgramId: '',
  errorMessage: '',
  dialect: {},
  planJson: '',
  nativeFault: '',
  createTime: undefined,
};

/** The error for a program that is not there, or not there for the caller. */
export function programNotFound(named: string): AppError {
  const resource = named.slice(0, 100);
  return new AppError('PROGRAM_NOT_FOUND', `There is no program \`${resource}\``, { metadata: { resource } });
}

/** The error for a version that is not there. */
export function versionNotFound(program: string, version: number): AppError {
  return new AppError('VERSION_NOT_FOUND', `The program has no version ${version}`, {
    metadata: { resource: `${program}/versions/${version}`, version: String(version) },
  });
}

/** The error for an event that a program's state does not allow. */
export function stateForbids(message: string, state: string, event: string): AppError {
  return new AppError('STATE_FORBIDS', message, { metadata: { state, event } });
}
