import { createHash } from 'node:crypto';

/** Who gets which version of a program, ready to be looked up. */
export type ServingPlan = {
  /** Versions by their labels. */
  readonly labels: ReadonlyMap<string, number>;
  /** Versions that share the calls, each with the percentage below which a caller's place must be; empty if one gets all. */
  readonly shares: readonly { readonly version: number; readonly below: number }[];
};

/** The part of one version in the calls, in percent. */
export type TrafficShare = { readonly version: number; readonly percent: number };

/** Compiles what a policy says of versions; undefined if it says nothing. */
export function compileServing(given: {
  readonly labels: Readonly<Record<string, number>>;
  readonly split: readonly TrafficShare[];
}): ServingPlan | undefined {
  const labels = new Map(Object.entries(given.labels));
  let below = 0;
  const shares = given.split.map(({ version, percent }) => {
    below += percent;
    return { version, below };
  });
  return labels.size === 0 && shares.length === 0 ? undefined : { labels, shares };
}

/** The version whose share a caller's calls are in: always the same for one key, and for most keys also after percentages moved. */
export function shareOf({ shares }: ServingPlan, programId: string, key: string): number | undefined {
  const digest = createHash('sha256').update(`${programId}\0${key}`).digest();
  const place = (digest.readUInt32BE(0) / 2 ** 32) * 100;
  return shares.find(({ below }) => place < below)?.version;
}
