import type { LmTaken } from '../lm/language-model.ts';

/** What an execution took, out of the metrics that its row keeps. */
export function metricsOf(metricsJson: string | undefined): LmTaken {
  const metrics = (metricsJson === undefined ? {} : JSON.parse(metricsJson)) as Readonly<Record<string, unknown>>;
  const number = (name: string): number => (typeof metrics[name] === 'number' ? metrics[name] : 0);
  return {
    calls: number('lm_calls'),
    tokensIn: number('tokens_in'),
    tokensOut: number('tokens_out'),
    lmMs: number('lm_ms'),
    cost: typeof metrics.cost === 'number' ? metrics.cost : undefined,
  };
}
