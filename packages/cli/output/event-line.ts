import type { JsonObject, JsonValue } from '@signet/client/json.ts';
import { cellText, withFigures } from './table.ts';

// Who follows something knows what it is; how far it is is what they want to read.
const hidden = /^(?:id|sequence|etag|datasetVersion|concurrency|seed|evaluation(?:Before|After))$|(?:Id|Time)$/;

/** One of many messages as a line for people: what happened, and each value that is none of the fixed ones. */
export function eventLine(message: JsonObject): string {
  const [only, ...others] = Object.entries(message).filter(([, value]) => isRecord(value));
  // `{sequence, progress: {…}}` says in its only member what happened.
  const isWrapped =
    only !== undefined &&
    others.length === 0 &&
    Object.keys(message).every((name) => name === only[0] || hidden.test(name));
  const body = isWrapped ? (only[1] as JsonObject) : message;
  const values = Object.entries(withFigures(body)).filter(([name, value]) => !hidden.test(name) && isTold(value));
  const told = values.map(([name, value]) => `${name} ${cellText(name, value).replace(/\s+/g, ' ')}`);
  return [...(isWrapped ? [only[0]] : []), ...told].join('  ');
}

function isTold(value: JsonValue): boolean {
  return value !== '' && value !== null && typeof value !== 'object';
}

function isRecord(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
