/** The lower and upper end of an interval. */
export type Interval = { readonly low: number; readonly high: number };

/** What values come to, each as much as it weighs. */
export type Spread = {
  readonly mean: number;
  /** The sample's standard deviation; 0 for a single value. */
  readonly deviation: number;
  /** How many values of equal weight tell as much: the square of the weights' sum by the sum of their squares (Kish). */
  readonly effectiveCount: number;
};

/** The spread of values by their weights, which are above 0; equal weights give what none would, to the last digit. */
export function weightedSpread(values: readonly number[], weights: readonly number[]): Spread {
  if (values.length === 0) return { mean: 0, deviation: 0, effectiveCount: 0 };
  const scaled = relativeWeights(weights);
  const sumOf = (term: (at: number) => number): number => values.reduce((sum, _, at) => sum + term(at), 0);
  const weight = sumOf((at) => scaled[at]!);
  const squares = sumOf((at) => scaled[at]! ** 2);
  const mean = sumOf((at) => scaled[at]! * values[at]!) / weight;
  const freedom = weight - squares / weight;
  const deviation = freedom > 0 ? Math.sqrt(sumOf((at) => scaled[at]! * (values[at]! - mean) ** 2) / freedom) : 0;
  return { mean, deviation, effectiveCount: (weight * weight) / squares };
}

/** Weights beside the heaviest one, which is 1. */
export function relativeWeights(weights: readonly number[]): number[] {
  const heaviest = weights.reduce((most, weight) => Math.max(most, weight), 0);
  return weights.map((weight) => weight / heaviest);
}

/** The value that Student's t with `freedom` degrees of freedom, from 1 on, passes with a probability of 2.5 %; to nine digits. */
export function studentT975(freedom: number): number {
  let low = 0;
  let high = 13;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    // Two-sided: P(|T| > t) = I(freedom / (freedom + t²)).
    if (incompleteBeta(freedom / (freedom + middle * middle), freedom / 2, 0.5) > 0.05) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The 95 % interval of a mean by Student's t, also for a part of a value; fewer than two values tell nothing. */
export function studentInterval(mean: number, deviation: number, count: number): Interval {
  if (count < 2) return { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
  const reach = (studentT975(count - 1) * deviation) / Math.sqrt(count);
  return { low: mean - reach, high: mean + reach };
}

const z975 = 1.959963984540054;

/** Wilson's 95 % interval of a share, also for a part of a value: also where all are right, or none. */
export function wilsonInterval(share: number, count: number): Interval {
  const z2 = z975 * z975;
  const scale = 1 + z2 / count;
  const centre = (share + z2 / (2 * count)) / scale;
  const reach = (z975 / scale) * Math.sqrt((share * (1 - share)) / count + z2 / (4 * count * count));
  // Exact where rounding would leave a trace.
  return { low: share === 0 ? 0 : centre - reach, high: share === 1 ? 1 : centre + reach };
}

const exactMax = 16;
const drawnCount = 20_000;
const seed = 0x5167_4e37;
// Sums of the same numbers in another order differ by less.
const tiny = 1e-9;

/**
 * How likely a sum of differences at least this far from 0 would be if each had the other sign as easily: two-sided. Up to 16 differences
 * that are not 0 every choice of signs is counted, beyond that 20,000 drawn ones, always the same.
 */
export function signFlipP(differences: readonly number[]): number {
  const moved = differences.filter((difference) => difference !== 0).map(Math.abs);
  if (moved.length === 0) return 1;
  const seen = Math.abs(differences.reduce((sum, difference) => sum + difference, 0)) - tiny;
  if (moved.length <= exactMax) {
    let asFar = 0;
    for (let signs = 0; signs < 1 << moved.length; signs++) {
      if (Math.abs(flipped(moved, (at) => (signs >> at) & 1)) >= seen) asFar += 1;
    }
    return asFar / (1 << moved.length);
  }
  const next = drawBits(seed);
  let asFar = 0;
  for (let draw = 0; draw < drawnCount; draw++) {
    let bits = 0;
    const sum = flipped(moved, (at) => {
      if (at % 32 === 0) bits = next();
      return (bits >>> (at % 32)) & 1;
    });
    if (Math.abs(sum) >= seen) asFar += 1;
  }
  // What was seen is one of the choices that there are.
  return (asFar + 1) / (drawnCount + 1);
}

function flipped(values: readonly number[], sign: (at: number) => number): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += sign(at) === 1 ? values[at]! : -values[at]!;
  return sum;
}

/** Marsaglia's xorshift of 32 bits, mixed once more. */
function drawBits(start: number): () => number {
  let state = start | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.imul(state, 0x9e37_79b1) ^ (state >>> 15);
  };
}

/** The regularized incomplete beta function, by its continued fraction (Lentz's method). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(lnGamma(a + b) - lnGamma(a) - lnGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  // The fraction converges fast on this side alone.
  return x < (a + 1) / (a + b + 2) ? (front * fraction(x, a, b)) / a : 1 - (front * fraction(1 - x, b, a)) / b;
}

function fraction(x: number, a: number, b: number): number {
  const least = 1e-300;
  const kept = (value: number): number => (Math.abs(value) < least ? least : value);
  let c = 1;
  let d = 1 / kept(1 - ((a + b) * x) / (a + 1));
  let sum = d;
  for (let m = 1; m <= 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / kept(1 + even * d);
    c = kept(1 + even / c);
    sum *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / kept(1 + odd * d);
    c = kept(1 + odd / c);
    sum *= d * c;
    if (Math.abs(d * c - 1) < 1e-12) break;
  }
  return sum;
}

/** ln Γ by Stirling's series, from 8 on; below by its recurrence. */
function lnGamma(value: number): number {
  let x = value;
  let shift = 0;
  while (x < 8) {
    shift -= Math.log(x);
    x += 1;
  }
  const inverse = 1 / (x * x);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / x;
  return shift + (x - 0.5) * Math.log(x) - x + 0.9189385332046727 + series;
}
