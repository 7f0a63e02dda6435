import type { JsonValue } from '@signet/signature/json.ts';

/** Who answered a case. */
export type Via = 'native' | 'routed' | 'sidecar' | 'skip';

/** How a case went: what was got, and the first place where it is not what was wanted. */
export type CaseOutcome = {
  readonly id: string;
  readonly via: Via;
  readonly got: JsonValue;
  /** Why it was skipped or handed over; absent if it was neither. */
  readonly reason?: string;
  readonly difference?: Difference;
};

/** The first place where two texts part. */
export type Difference = { readonly what: string; readonly at: number; readonly want: string; readonly got: string };

const SHOWN = 80;

/** Where two texts part, or nothing if they are equal. */
export function differ(what: string, want: string, got: string): Difference | undefined {
  if (want === got) return undefined;
  let at = 0;
  while (at < want.length && at < got.length && want[at] === got[at]) at++;
  return { what, at, want: JSON.stringify(want.slice(at, at + SHOWN)), got: JSON.stringify(got.slice(at, at + SHOWN)) };
}

/** A case that cannot be asked, with the reason. */
export function skipped(id: string, reason: string): CaseOutcome {
  return { id, via: 'skip', got: null, reason };
}
