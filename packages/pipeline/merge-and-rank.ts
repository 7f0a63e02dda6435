import { isArray, isObject, JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';

/** The constant of reciprocal rank fusion (Cormack, Clarke, Büttcher 2009). */
const k = 60;
const idKeys = ['id', 'pid', 'doc_id'];
const textKeys = ['text', 'long_text', 'passage', 'content'];

/**
 * Merges ranked lists into one by reciprocal rank fusion: an item's score is the sum of 1 / (60 + its rank) over the lists that it is in.
 * Items are one if their `id` (or `pid`, `doc_id`) is, else if their text is; the first one stays as it is. Those of one score keep the
 * order in which they were met. Takes a list of lists, or the results of steps: of each object the first member that is a list counts.
 * What is neither list nor object, null above all, is left out.
 */
export function mergeAndRank(input: JsonValue): JsonValue {
  const merged = new Map<string, { readonly item: JsonValue; score: number }>();
  for (const list of listsOf(input)) {
    const seen = new Set<string>();
    for (const item of list) {
      const key = keyOf(item);
      // What stands twice in one list counts by its better rank.
      if (seen.has(key)) continue;
      seen.add(key);
      const score = 1 / (k + seen.size);
      const known = merged.get(key);
      if (known === undefined) merged.set(key, { item, score });
      else known.score += score;
    }
  }
  // The sort is stable.
  return [...merged.values()].sort((a, b) => b.score - a.score).map(({ item }) => item);
}

function listsOf(input: JsonValue): (readonly JsonValue[])[] {
  if (isObject(input)) return [...input.values()].flatMap(listOf);
  if (!isArray(input)) return [];
  return input.some((item) => isArray(item))
    ? input.flatMap(listOf)
    : input.some(hasList)
      ? input.flatMap(listOf)
      : [input];
}

function hasList(value: JsonValue): boolean {
  return isObject(value) && !isDocument(value) && [...value.values()].some((member) => isArray(member));
}

function listOf(value: JsonValue): (readonly JsonValue[])[] {
  if (isArray(value)) return [value];
  if (!isObject(value)) return [];
  for (const member of value.values()) if (isArray(member)) return [member];
  return [];
}

function isDocument(value: ReadonlyMap<string, JsonValue>): boolean {
  return [...idKeys, ...textKeys].some((key) => value.has(key));
}

function keyOf(item: JsonValue): string {
  if (typeof item === 'string') return `text ${item}`;
  if (!isObject(item)) return `value ${writeJson(item)}`;
  for (const key of idKeys) {
    const id = item.get(key);
    if (typeof id === 'string') return `id ${id}`;
    if (id instanceof JsonNumber) return `id ${id.text}`;
  }
  for (const key of textKeys) {
    const text = item.get(key);
    if (typeof text === 'string') return `text ${text}`;
  }
  return `value ${writeJson(item)}`;
}
