import { isSpace } from '@signet/predict/python/text.ts';

const punctuation = /[!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]/g;
// Python's \b stands between its \w and all else, and its \w are letters, numbers and the underscore of all scripts.
const articles = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/**
 * A text as DSPy's metrics compare it (`normalize_text`): Unicode's NFD form, lower case, no ASCII punctuation, no English articles, single
 * spaces.
 */
export function normalizeText(text: string): string {
  return wordsOf(text).join(' ');
}

/** The words of a text as DSPy's F1 counts them. */
export function wordsOf(text: string): string[] {
  const bare = text.normalize('NFD').toLowerCase().replace(punctuation, '').replace(articles, ' ');
  return splitWords(bare);
}

/** DSPy's F1 of two texts: of the words that they have in common, each counted as often as both have it. 0 if there are none. */
export function f1(given: string, expected: string): number {
  const givenWords = wordsOf(given);
  const expectedWords = wordsOf(expected);
  const left = new Map<string, number>();
  for (const word of expectedWords) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of givenWords) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    left.set(word, count - 1);
    common += 1;
  }
  if (common === 0) return 0;
  const precision = common / givenWords.length;
  const recall = common / expectedWords.length;
  return (2 * precision * recall) / (precision + recall);
}

/** Python's `str.split()`. */
function splitWords(text: string): string[] {
  const words: string[] = [];
  let start = -1;
  for (let at = 0; at <= text.length; at++) {
    if (at === text.length || isSpace(text.charCodeAt(at))) {
      if (start >= 0) words.push(text.slice(start, at));
      start = -1;
    } else if (start < 0) start = at;
  }
  return words;
}
