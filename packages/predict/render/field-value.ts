import { isArray, JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import type { PlanType } from '../plan/plan.ts';
import { jsonText } from '../python/json-text.ts';
import { numberText } from '../python/number.ts';
import { pythonRepr } from '../python/repr.ts';

/** Thrown where DSPy raises while it shows a value. */
export class RenderError extends Error {
  /** The Python class. */
  readonly pythonType: string;

  constructor(pythonType: string, message: string) {
    super(message);
    this.name = 'RenderError';
    this.pythonType = pythonType;
  }
}

/**
 * The text of a field's value in a prompt, by the value and not by its type, but for lists in `str` fields. Throws RenderError
 * where DSPy raises and DoubtError where its bytes are not known.
 */
export function fieldValueText(type: PlanType, value: JsonValue): string {
  if (typeof value === 'string') return value;
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (value instanceof JsonNumber) return numberText(value);
  if (isArray(value) && type.kind === 'str') return numberedText(value);
  return jsonText(value);
}

const MARKS: readonly string[] = ['\n', '«', '»'];

function numberedText(items: readonly JsonValue[]): string {
  if (items.length === 0) return 'N/A';
  if (items.length === 1) return blob(items[0]);
  return items.map((item, index) => `[${index + 1}] ${blob(item)}`).join('\n');
}

function blob(item: JsonValue | undefined): string {
  if (item === undefined || item === null || typeof item === 'boolean' || item instanceof JsonNumber) {
    throw new RenderError('TypeError', 'a list in a text field may hold texts alone');
  }
  if (typeof item === 'string') {
    if (!/[\n«»]/.test(item)) return `«${item}»`;
    return `«««\n    ${item.replaceAll('\n', '\n    ')}\n»»»`;
  }
  // DSPy looks for these marks in whatever it gets: among the items of a list and the keys of a dict too.
  const inside: readonly JsonValue[] = isArray(item) ? item : [...(item as JsonObject).keys()];
  if (MARKS.some((mark) => inside.includes(mark))) {
    const type = isArray(item) ? 'list' : 'dict';
    throw new RenderError('AttributeError', `'${type}' object has no attribute 'replace'`);
  }
  return `«${pythonRepr(item)}»`;
}
