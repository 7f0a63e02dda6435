import type { Clock } from '@signet/kit/clock.ts';

/** So many calls in so long a time; undefined stands for no limit. */
export type RateLimit = { readonly count: number; readonly windowMs: number };

/** Where a caller stands after a call was counted. */
export type RateState = {
  readonly limit: RateLimit;
  readonly allowed: boolean;
  /** Calls that the window still holds. */
  readonly remaining: number;
  /** Milliseconds until the window ends. */
  readonly resetMs: number;
};

/** Counts calls by name in fixed windows. */
export type RateLimiter = {
  /** Counts one call; undefined where there is no limit. */
  take(name: string): RateState | undefined;
  /** Looks without counting. */
  look(name: string): RateState | undefined;
};

/** Names that are remembered at most; the oldest window is forgotten first. */
const namesMax = 50_000;

/** Makes a limiter whose windows begin with a name's first call. It lives in this process: replicas count for themselves. */
export function createRateLimiter(limit: RateLimit | undefined, clock: Clock): RateLimiter {
  const windows = new Map<string, { count: number; endMs: number }>();
  const current = (name: string): { count: number; endMs: number } | undefined => {
    const found = windows.get(name);
    return found !== undefined && clock.steadyMs() < found.endMs ? found : undefined;
  };
  const stateOf = (rule: RateLimit, count: number, endMs: number): RateState => ({
    limit: rule,
    allowed: count <= rule.count,
    remaining: Math.max(0, rule.count - count),
    resetMs: Math.max(0, endMs - clock.steadyMs()),
  });
  return {
    take(name) {
      if (limit === undefined) return undefined;
      let window = current(name);
      if (window === undefined) {
        // Deleted first, so that the map stays ordered by the windows' beginnings.
        windows.delete(name);
        if (windows.size >= namesMax) windows.delete(windows.keys().next().value!);
        window = { count: 0, endMs: clock.steadyMs() + limit.windowMs };
        windows.set(name, window);
      }
      window.count++;
      return stateOf(limit, window.count, window.endMs);
    },
    look(name) {
      if (limit === undefined) return undefined;
      const window = current(name);
      return stateOf(limit, (window?.count ?? 0) + 1, window?.endMs ?? clock.steadyMs() + limit.windowMs);
    },
  };
}

/** The answer's headers about a limit (draft-ietf-httpapi-ratelimit-headers). */
export function rateHeaders(state: RateState): Record<string, string> {
  const seconds = Math.ceil(state.resetMs / 1000);
  return {
    'ratelimit-policy': `"default";q=${state.limit.count};w=${Math.round(state.limit.windowMs / 1000)}`,
    ratelimit: `"default";r=${state.remaining};t=${seconds}`,
  };
}

/** Reads `N/Ts` or `off`; null if it is neither. */
export function parseRateLimit(text: string): RateLimit | undefined | null {
  if (text === 'off') return undefined;
  const match = /^([1-9][0-9]{0,8})\/([1-9][0-9]{0,5})s$/.exec(text);
  return match === null ? null : { count: Number(match[1]), windowMs: Number(match[2]) * 1000 };
}
