import type { Outcome } from './batch.ts';
import type { ChunkFaults, ChunkProgress, HeldChunk } from './chunk-store.postgres.ts';

/** How an item ended, or why it could not even begin. */
export type ItemEnd = { readonly outcome: Outcome } | { readonly fault: { reason: string; message: string } };

/** A chunk of ours, and how far it is. */
export type OpenChunk = {
  readonly chunk: HeldChunk;
  readonly outcomes: Outcome[];
  readonly faults: Record<number, ChunkFaults[number]>;
  /** Places of items that wait, in order. */
  readonly waiting: number[];
  readonly stop: AbortController;
  /** Places of items that may have been begun here before. */
  readonly tried: Set<number>;
  open: number;
  running: number;
  isDirty: boolean;
};

/** Takes up a chunk where whoever had it before left it. */
export function openChunk(chunk: HeldChunk): OpenChunk {
  const waiting = chunk.outcomes.flatMap((outcome, place) => (outcome === '.' ? [place] : []));
  return {
    ...{ chunk, waiting, open: waiting.length, running: 0, isDirty: false },
    outcomes: [...chunk.outcomes],
    faults: {},
    stop: new AbortController(),
    tried: new Set<number>(),
  };
}

/** Notes how an item ended. */
export function endItem(held: OpenChunk, place: number, end: ItemEnd): void {
  held.outcomes[place] = 'fault' in end ? 'f' : end.outcome;
  if ('fault' in end) held.faults[place] = end.fault;
  held.open--;
  held.isDirty = true;
}

/** Notes that what has not ended is cancelled. */
export function cancelRest(held: OpenChunk): void {
  held.outcomes.forEach((outcome, place) => {
    if (outcome === '.') held.outcomes[place] = 'x';
  });
  held.open = 0;
}

/** How far it is, to be written. */
export function progressOf({ chunk, outcomes, faults }: OpenChunk): Omit<ChunkProgress, 'status'> {
  const { batchId, firstIndex, token } = chunk;
  return { batchId, firstIndex, token, outcomes, faults };
}
