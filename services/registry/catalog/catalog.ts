import type { AdapterType, Configuration, Preparation, ProgramStatus } from '../program/program.ts';
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
  readonly preparation: Preparation;
  readonly deleted: boolean;
  /** The catalog's revision at the program's last change. */
  readonly revision: number;
};
