import { isArray, isObject, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { TrialPredictor } from './optimization.ts';

/** A candidate: what DSPy saves of it, and what it scored, 0 to 1; undefined if nobody measured it. */
export type Candidate = { readonly stateJson: string; readonly score: number | undefined };

const instructionsMax = 2_000;

/**
 * The best candidate of one optimizer: of those measured on everything the one with the highest score, the earlier one of two equal ones;
 * without such, of those measured on a part; without those, the last one.
 */
export class BestSoFar {
  #best: (Candidate & { readonly rank: number }) | undefined;

  /** The best one; undefined while there is none. */
  get candidate(): Candidate | undefined {
    return this.#best;
  }

  /** Takes a candidate into account; true if it is the best now. */
  offer({ stateJson, score }: Candidate, isFull: boolean): boolean {
    const rank = score === undefined ? 0 : isFull ? 2 : 1;
    const best = this.#best;
    const isBetter =
      best === undefined ||
      rank > best.rank ||
      (rank === best.rank && (score === undefined || score > (best.score ?? -1)));
    if (isBetter) this.#best = { stateJson, score, rank };
    return isBetter;
  }
}

/** What a saved state says of each predictor; none for what cannot be read. */
export function predictorsOf(stateJson: string): TrialPredictor[] {
  const state = read(stateJson);
  if (state === undefined) return [];
  if (state.has('signature') && state.has('demos')) return [predictorOf('', state)];
  return [...state].flatMap(([name, value]) =>
    name !== 'metadata' && isObject(value) && value.has('signature') ? [predictorOf(name, value)] : [],
  );
}

/** What of a result goes into the program's variables. */
export function variablesOf(stateJson: string): Record<string, unknown> {
  const predictors = predictorsOf(stateJson);
  const said = ({ instructions, demoCount }: TrialPredictor) => ({ instructions, demo_count: demoCount });
  const [first] = predictors;
  if (first === undefined) return {};
  if (predictors.length === 1) return said(first);
  return { predictors: Object.fromEntries(predictors.map((one) => [one.name, said(one)])) };
}

function predictorOf(name: string, state: JsonObject): TrialPredictor {
  const signature = state.get('signature');
  const instructions = signature !== undefined && isObject(signature) ? signature.get('instructions') : undefined;
  const demos: JsonValue = state.get('demos') ?? [];
  const text = typeof instructions === 'string' ? instructions.replaceAll('\u0000', '').slice(0, instructionsMax) : '';
  return {
    name: name.slice(0, 200).replaceAll('\u0000', ''),
    instructions: text.toWellFormed(),
    demoCount: isArray(demos) ? demos.length : 0,
  };
}

function read(stateJson: string): JsonObject | undefined {
  try {
    const state = parseJson(stateJson);
    return isObject(state) ? state : undefined;
  } catch {
    return undefined;
  }
}
