import { JsonNumber } from '@signet/signature/json.ts';
import type { PlanType } from '../plan/plan.ts';
import { DoubtError } from '../python/json-text.ts';
import { literalEval } from '../python/literal-eval.ts';
import { readJson } from '../python/read-json.ts';
import { pythonText } from '../python/repr.ts';
import { strip } from '../python/text.ts';
import type { PythonValue } from '../python/value.ts';
import { coercionOf } from './coerce.ts';
import { type Coerced, DOUBT } from './coerced.ts';
import { isMember } from './literal.ts';
import { repairJson } from './repair.ts';

/** Reads a field's value, a section's text or a member of the reply's object, as DSPy's `parse_value` does. */
export function parseValue(value: PythonValue, type: PlanType): Coerced {
  if (type.kind === 'str') return asText(value);
  let given = value;
  if (type.kind === 'literal') {
    if (isMember(type.values, value)) return value;
    if (typeof value === 'string') {
      given = unwrapLiteral(value);
      if (isMember(type.values, given)) return given;
    }
  }
  const coerce = coercionOf(type);
  if (typeof given !== 'string' || takesTextAsIs(type)) return coerce(given, { level: 0 });
  const candidate = candidateOf(given);
  return candidate === 'doubtful' ? DOUBT : coerce(candidate.value, { level: 0 });
}

// What is no JSON to json_repair may be a Python literal, and is itself if it is none.
function candidateOf(text: string): { readonly value: PythonValue } | 'doubtful' {
  const read = readJson(text);
  if (read !== 'invalid') return read;
  if (text === '') return { value: text };
  const repaired = repairJson(text);
  if (repaired !== 'nothing') return repaired;
  const literal = literalEval(text);
  return literal === 'invalid' ? { value: text } : literal;
}

function asText(value: PythonValue): Coerced {
  if (typeof value === 'string') return value;
  if (value instanceof JsonNumber || value === null || typeof value !== 'object') return pythonText(value);
  try {
    return pythonText(value);
  } catch (error) {
    if (error instanceof DoubtError) return DOUBT;
    throw error;
  }
}

function unwrapLiteral(text: string): string {
  let bare = strip(text);
  if ((bare.startsWith('Literal[') || bare.startsWith('str[')) && bare.endsWith(']')) {
    bare = bare.slice(bare.indexOf('[') + 1, -1);
  }
  const quote = bare.charAt(0);
  if ([...bare.slice(0, 3)].length > 1 && (quote === '"' || quote === "'") && bare.endsWith(quote))
    bare = bare.slice(1, -1);
  return bare;
}

// `str | None` and the like: the text is never read as JSON.
function takesTextAsIs(type: PlanType): boolean {
  if (type.kind !== 'union') return false;
  return type.args.some(({ kind }) => kind === 'none') && type.args.some(({ kind }) => kind === 'str');
}
