import type { LmCallRecord, LmCalls } from '../lm/language-model.ts';
import type { ScoreFigures } from './scored.ts';

/** Counts what scoring one example uses of language models; nothing of it is kept. */
export class MetricCalls implements LmCalls {
  #tokensIn = 0;
  #tokensOut = 0;
  #cost: number | undefined;

  /** Told of each call. */
  readonly onCall = (call: LmCallRecord): undefined => {
    this.#tokensIn += call.promptTokens;
    this.#tokensOut += call.completionTokens;
    if (call.cost !== undefined) this.#cost = (this.#cost ?? 0) + call.cost;
    return undefined;
  };

  readonly recall = (): undefined => undefined;

  get figures(): ScoreFigures {
    return { tokensIn: this.#tokensIn, tokensOut: this.#tokensOut, cost: this.#cost };
  }

  rewind(): void {}
}

/** Of a metric that asked nobody. */
export const noFigures: ScoreFigures = { tokensIn: 0, tokensOut: 0, cost: undefined };
