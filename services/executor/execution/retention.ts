import { pause } from '@signet/kit/pause.ts';

/** Something that ends and is forgotten in time. */
export type Retention = {
  /** What it is, for the log. */
  readonly what: string;
  /**
   * Forgets a portion of about `limit` rows of what is old enough, from after an id on; `firstId` begins. Several processes may do so at once:
   * each takes what no other holds.
   */
  forget(limit: number, afterId: string): Promise<Forgotten>;
};

/** What came of one portion. */
export type Forgotten = {
  readonly count: number;
  /** After which id the next portion begins: what is kept is looked at once. Undefined if there is none. */
  readonly next: string | undefined;
};

/** An id before all others. */
export const firstId = '00000000-0000-0000-0000-000000000000';

const portion = 1_000;
// Serving comes first: a sweep takes at most this many turns with each, the next one goes on.
const turnsMax = 200;
const pauseMs = 50;

/** Forgets what is old enough, portion by portion, one kind after the other; gives how many rows of each, without those of which there were none. */
export async function forgetOld(
  retentions: readonly Retention[],
  closing: AbortSignal,
): Promise<Record<string, number>> {
  const totals: Record<string, number> = {};
  for (const { what, forget } of retentions) {
    let afterId: string | undefined = firstId;
    for (let turn = 0; turn < turnsMax && afterId !== undefined && !closing.aborted; turn += 1) {
      const { count, next }: Forgotten = await forget(portion, afterId);
      if (count > 0) totals[what] = (totals[what] ?? 0) + count;
      afterId = next;
      await pause(pauseMs, closing);
    }
  }
  return totals;
}
