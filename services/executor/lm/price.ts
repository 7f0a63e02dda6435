import type { LmPrices } from '../engine/engine.ts';

/** What a completion cost in US dollars, to a billionth; undefined without prices. */
export function priceOf(
  prices: LmPrices | undefined,
  used: { readonly promptTokens: number; readonly completionTokens: number },
): number | undefined {
  if (prices === undefined) return undefined;
  const millionths = used.promptTokens * prices.inputPerMillion + used.completionTokens * prices.outputPerMillion;
  return Math.round(millionths * 1_000) / 1_000_000_000;
}
