/** One executor's part in running a batch. */
export type Share = {
  readonly owner: string;
  /** How many items of the batch it may have running. */
  readonly places: number;
  /** How many it could run. */
  readonly wanted: number;
  /** Until when the share holds unless it is renewed; milliseconds since 1970 by the database's clock. */
  readonly untilMs: number;
};

/** What an executor asks of a batch. */
export type ShareWish = {
  readonly owner: string;
  /** How many items it could run; 0 gives back what it has. */
  readonly wanted: number;
  /** How many it may have running when it hears the answer: these stay its own, whatever it is given. */
  readonly kept: number;
};

/** What a wish comes to. */
export type ShareGrant = {
  /** How many items the executor may bring to run; fewer than it keeps if others are to have some of these places. */
  readonly limit: number;
  /** All shares from now on. */
  readonly shares: readonly Share[];
  /** False if all of it stood so before. */
  readonly isNew: boolean;
  /** True if others should look at once: somebody wants places, or gave some back. */
  readonly concernsOthers: boolean;
};

// Shorter than the leases of chunks: while the share of a lost executor holds, all others stand still with it.
const shareMs = 5_000;
const renewLeftMs = 3_500;

/**
 * Divides the places of a batch among the executors that want some, evenly, as far as what the others still hold allows: all shares
 * together never exceed `places`, but for what ran already when its executor's share had run out.
 */
export function grantShare(places: number, before: readonly Share[], wish: ShareWish, nowMs: number): ShareGrant {
  const { owner, kept } = wish;
  const wanted = Math.min(wish.wanted, places);
  const old = before.find((share) => share.owner === owner);
  const all = before.filter((share) => share.owner === owner || share.untilMs > nowMs);
  const mine = { owner, places: old?.places ?? 0, wanted, untilMs: nowMs + shareMs };
  // In the order in which they came, so that all of them divide alike.
  const asking = old === undefined ? [...all, mine] : all.map((share) => (share === old ? mine : share));
  const due = divide(places, asking)[asking.indexOf(mine)]!;
  const others = asking.filter((share) => share !== mine);
  const free = places - others.reduce((sum, share) => sum + share.places, 0);
  const limit = Math.max(0, Math.min(due, free));
  const held = Math.max(limit, kept);
  const isGone = wanted === 0 && held === 0;
  const shares = isGone ? others : asking.map((share) => (share === mine ? { ...mine, places: held } : share));
  const stands = old !== undefined && old.places === held && old.wanted === wanted && old.untilMs > nowMs + renewLeftMs;
  return {
    ...{ limit, shares },
    isNew: isGone ? old !== undefined : !stands,
    concernsOthers: others.length > 0 && (isGone || old === undefined || held < old.places),
  };
}

// One place after the other to each that wants more: what does not come out even is for those who came first.
function divide(places: number, asking: readonly Share[]): number[] {
  const due = asking.map(() => 0);
  for (let left = places; left > 0; ) {
    const before = left;
    asking.forEach(({ wanted }, at) => {
      if (left === 0 || due[at]! >= wanted) return;
      due[at]!++;
      left--;
    });
    if (left === before) break;
  }
  return due;
}
