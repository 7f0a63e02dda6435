import type { SettledOutcome } from '@signet/predict/parse/outcome.ts';
import type { PromptAdapter } from '@signet/predict/plan/plan.ts';
import type { EngineProgram } from '../engine/engine.ts';

/** A reply that is to be read by DSPy itself. */
export type DoubtfulReply = {
  readonly predictor: string;
  readonly adapter: PromptAdapter;
  readonly completion: string;
};

/** Reads replies that only DSPy reads for certain. Fails with ENGINE_UNAVAILABLE where Python is away. */
export type CompletionReader = {
  read(
    program: EngineProgram,
    reply: DoubtfulReply,
    ctx: { readonly signal: AbortSignal; readonly deadlineMs: number },
  ): Promise<SettledOutcome>;
};
