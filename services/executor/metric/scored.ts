import type { JsonObject } from '@signet/signature/json.ts';

/** One answer that is to be scored. */
export type ScoreInput = {
  readonly inputs: JsonObject;
  /** What the example expects; empty if nothing. */
  readonly expected: JsonObject;
  readonly outputs: JsonObject;
};

/** What scoring used of language models. */
export type ScoreFigures = {
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** In US dollars; undefined if nothing had a price. */
  readonly cost: number | undefined;
};

/** What a metric said of one answer. */
export type Score = {
  /** From 0 (wrong) to 1 (right). */
  readonly score: number;
  /** Empty if the metric has no words. */
  readonly feedback: string;
};

/** Why there is no score: METRIC_FAILED, EXPECTED_MISSING, OUTPUT_MISSING or a reason of the contract. */
export type ScoreFault = { readonly reason: string; readonly message: string };

/** A score, or why there is none, which counts as 0; and what finding out used. */
export type Scored = Score & { readonly error?: ScoreFault; readonly figures: ScoreFigures };

/** Says that an answer cannot be scored by this metric, which is no verdict on the answer. */
export class ScoreError extends Error {
  readonly reason: string;

  constructor(reason: 'METRIC_FAILED' | 'EXPECTED_MISSING' | 'OUTPUT_MISSING', message: string) {
    super(message);
    this.name = 'ScoreError';
    this.reason = reason;
  }
}
