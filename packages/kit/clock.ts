/** Where time comes from; tests give their own. */
export type Clock = {
  /** The wall clock. */
  now(): Date;
  /** Milliseconds on a clock that never goes back. */
  steadyMs(): number;
};

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => new Date(),
  steadyMs: () => performance.now(),
};
