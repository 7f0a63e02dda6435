/** Numbers that look like chance and are the same for the same seed. */
export type Random = {
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  pick<T>(from: readonly T[]): T;
  shuffle<T>(from: readonly T[]): T[];
};

/** Starts a sequence: a multiplicative congruential generator over 2^31 - 1. */
export function createRandom(seed: number): Random {
  const modulus = 2_147_483_647;
  let state = (Math.abs(Math.trunc(seed)) % (modulus - 1)) + 1;
  const below = (limit: number): number => {
    state = (state * 48_271) % modulus;
    return Math.floor((state / modulus) * limit);
  };
  return {
    below,
    pick: (from) => from[below(from.length)]!,
    shuffle(from) {
      const left = [...from];
      return from.map(() => left.splice(below(left.length), 1)[0]!);
    },
  };
}
