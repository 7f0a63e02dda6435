import type { LanguageModel } from '../language-model/language-model.ts';
import type { ModuleImplementation, ModuleState, RoutingStrategy } from '../module/module.ts';
import type { AdapterType, Configuration, Preparation, ProgramStatus } from '../program/program.ts';
import type { ServingPolicy } from '../program/serving-policy.ts';
import type { Signature } from '../signature/signature.ts';

/** A program with all that is needed to run one version of it. */
export type ResolvedProgram = {
  readonly programId: string;
  readonly slug: string;
  readonly name: string;
  readonly status: ProgramStatus;
  readonly errorMessage: string;
  readonly adapterType: AdapterType;
  readonly version: number;
  readonly servingVersion: number;
  readonly signature: Signature;
  readonly configuration: Configuration;
  readonly demos: readonly string[];
  /** What DSPy had saved of a module with predictors of its own, as JSON text; empty if its configuration says everything. */
  readonly dspyState: string;
  readonly preparation: Preparation;
  readonly servingPolicy: ServingPolicy;
  /** True if this version has served before. */
  readonly hasServed: boolean;
  readonly deleted: boolean;
  /** The catalog's revision at the program's last change. */
  readonly revision: number;
  /** The registered module behind it, if there is one. */
  readonly moduleSettings: ModuleSettings | undefined;
  /** The checked pipeline, JSON text; empty for a program that runs a signature. */
  readonly pipeline: string;
};

/** What a registered module says about how programs of it are run. */
export type ModuleSettings = {
  readonly id: string;
  readonly name: string;
  readonly implementation: ModuleImplementation;
  readonly routingStrategy: RoutingStrategy;
  readonly cacheTtlS: number;
};

/** A module as executors know it. */
export type ResolvedModule = {
  readonly settings: ModuleSettings;
  readonly state: ModuleState;
  readonly errorMessage: string;
  readonly deleted: boolean;
  readonly executable: boolean;
  readonly generation: number;
  /** The catalog's revision at its last change. */
  readonly revision: number;
  /** The name on the workers' allow-list that it needs; empty if none. */
  readonly pythonClass: string;
};

/** A language model with its credential as the database has it. */
export type SealedLanguageModel = {
  readonly languageModel: LanguageModel;
  /** Undefined if it has none. */
  readonly sealedCredential: Uint8Array | undefined;
  readonly deleted: boolean;
  /** The catalog's revision at its last change. */
  readonly revision: number;
};

/** A language model with its credential opened, or with why that failed. Never logged, never stored. */
export type ResolvedLanguageModel = Omit<SealedLanguageModel, 'sealedCredential'> & {
  /** Empty if it has none, or none that opens. */
  readonly credential: string;
  /** Why its credential does not open; empty if it does. */
  readonly credentialFault: string;
};
