import { readJsonAt } from '../python/read-json.ts';
import { isSpace } from '../python/text.ts';
import type { PythonValue } from '../python/value.ts';
import { readPlainPython } from './plain-python.ts';

/** What json_repair makes of a text that is not JSON; `nothing` where it finds no JSON; `doubtful` where only json_repair knows. */
export type Repaired = { readonly value: PythonValue } | 'nothing' | 'doubtful';

// Each one deepens json_repair's recursion, whose bound is Python's.
const COMMENT_MARKS_MAX = 20;

/**
 * json_repair's answer where its code leaves no choice: a text without any opening bracket holds no JSON, one strict value in
 * prose or in a fence is that value, and a plain list or dict as Python prints it is what Python reads. Linear in the text.
 */
export function repairJson(text: string): Repaired {
  const marks = countMarks(text);
  if (marks > COMMENT_MARKS_MAX) return 'doubtful';
  const at = text.search(/[[{(]/);
  if (at < 0) return text.includes('}') ? 'doubtful' : 'nothing';
  const plain = at === 0 ? readPlainPython(text) : undefined;
  if (plain !== undefined) return { value: plain };
  if (text[at] === '(' || !isProse(text.slice(0, at))) return 'doubtful';
  const read = readJsonAt(text, at);
  if (typeof read === 'string') return 'doubtful';
  const rest = text.slice(read.end);
  if (/[[{(]/.test(rest)) return 'doubtful';
  // A container that begins the text is taken by itself only if something else than a comma follows it.
  if (at === 0 && !isFollowed(rest)) return 'doubtful';
  return { value: read.value };
}

// What stands before the value must not be a comment that hides it, nor a quote that json_repair takes for a lost brace.
function isProse(prefix: string): boolean {
  return !/#|\/[/*]/.test(prefix) && !/^\s*["'“”]/.test(prefix);
}

function isFollowed(rest: string): boolean {
  for (let at = 0; at < rest.length; at++) {
    if (!isSpace(rest.charCodeAt(at))) return rest[at] !== ',';
  }
  return false;
}

function countMarks(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length && count <= COMMENT_MARKS_MAX; at++) {
    const code = text.charCodeAt(at);
    if (code === 35 || code === 47) count++;
  }
  return count;
}
