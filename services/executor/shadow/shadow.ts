import type { JsonValue } from '@signet/signature/json.ts';
import type { EngineName } from '../engine/engine.ts';

/** What a comparison came to: `failed` if the shadow could not do it, `skipped` if it was not begun. */
export type ShadowStatus = 'equal' | 'different' | 'failed' | 'skipped';

/** The engines that can be compared. */
export type ComparedEngine = Exclude<EngineName, 'mock'>;

/** What one of two runs took. */
export type RunFigures = {
  readonly duration_ms: number;
  readonly tokens_in: number;
  readonly tokens_out: number;
  readonly lm_calls: number;
  readonly lm_ms: number;
  /** In US dollars; absent if the model has no price. */
  readonly cost?: number;
};

/** What differs between two runs; empty if nothing does. Texts are cut and hold nothing that Postgres cannot keep. */
export type Differences = {
  /** How often the model was asked. */
  readonly lm_calls?: { readonly primary: number; readonly shadow: number };
  /** The first pair of messages that differs, each from shortly before place `at` on. */
  readonly messages?: {
    readonly call: number;
    readonly message: number;
    readonly at: number;
    readonly primary: string;
    readonly shadow: string;
  };
  /** The first call with equal messages that was asked with other options. */
  readonly request?: { readonly call: number };
  readonly outputs?: readonly { readonly field: string; readonly primary: string; readonly shadow: string }[];
  /** The reasons with which they failed; empty for one that did not. */
  readonly error?: { readonly primary: string; readonly shadow: string };
};

/** One comparison as it is kept. */
export type ShadowRow = {
  readonly executionId: string;
  readonly programId: string;
  readonly slug: string;
  readonly version: number;
  readonly engine: ComparedEngine;
  readonly primaryEngine: ComparedEngine;
  readonly status: ShadowStatus;
  readonly differences: Differences;
  readonly figures: { readonly primary?: RunFigures; readonly shadow?: RunFigures };
  /** Why there is no comparison; empty if there is one. */
  readonly reason: string;
  readonly message: string;
};

/** One comparison as it was kept. */
export type ExecutionShadow = ShadowRow & { readonly createTime: Date };

/** The comparisons of one program in figures. */
export type ShadowSummary = {
  readonly programId: string;
  readonly slug: string;
  readonly counts: Readonly<Record<ShadowStatus, bigint>>;
};

/** What one run did, as far as it is compared. */
export type ComparedRun = {
  readonly calls: readonly ComparedCall[];
  /** Field by field; undefined if it failed. */
  readonly outputs: ReadonlyMap<string, JsonValue> | undefined;
  /** The reason of its failure; empty if there was none. */
  readonly failure: string;
};

/** One call of a language model. The messages are unknown where the answer was given again. */
export type ComparedCall = {
  readonly requestHash: Buffer;
  readonly messages: readonly { readonly role: string; readonly content: string }[] | undefined;
};
