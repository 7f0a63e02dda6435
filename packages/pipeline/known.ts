import type { Field, SignatureSpec } from '@signet/signature/types.ts';

/** What a field list says of a step: what it is given and what it gives back. */
export type StepFields = {
  readonly inputs: readonly Field[];
  readonly outputs: readonly Field[];
};

/** A registered module. */
export type KnownModule = {
  readonly id: string;
  readonly name: string;
  /** `predict`, `retrieve`, `optimize` or `custom`; empty where that is not to be checked. */
  readonly type: string;
  /** Undefined for one without a signature, which cannot be executed; `unchecked` where its fields are not to be checked. */
  readonly fields: StepFields | 'unchecked' | undefined;
};

/** What a spec may name; whoever reads one has looked it up before. */
export type Known = {
  /** True where a pipeline was checked before: signatures are not parsed anew, fields not compared. */
  readonly isTrusting: boolean;
  /** Finds a registered module by name or id; `statedId` is the id that a checked pipeline has. */
  module(named: string, statedId: string): KnownModule | undefined;
  /** True for a Python class or function of the allow-list. */
  isPython(name: string): boolean;
  /** True for a function that steps may call. */
  isFunction(name: string): boolean;
  /** Finds a registered signature by id or module. */
  signature(named: string): SignatureSpec | undefined;
  /** True for a language model's slug. */
  isLanguageModel(slug: string): boolean;
  /** Names that could have been meant, for messages. */
  readonly moduleNames: readonly string[];
  readonly functionNames: readonly string[];
  readonly pythonNames: readonly string[];
};

/** For a pipeline that was checked when it was composed: names are taken as they are. */
export const trusting: Known = {
  isTrusting: true,
  module: (named, statedId) => ({ id: statedId, name: named, type: '', fields: 'unchecked' }),
  isPython: () => true,
  isFunction: () => true,
  signature: () => undefined,
  isLanguageModel: () => true,
  moduleNames: [],
  functionNames: [],
  pythonNames: [],
};

/** Python names that steps may call without being on the operator's allow-list. */
export const pythonDefaults: readonly string[] = ['dspy.ColBERTv2'];
