import { isArray, JsonNumber, type JsonValue } from '@signet/signature/json.ts';

/** Writes a value so that equal values have equal texts: keys in order, numbers without regard to how they were written. */
export function canonicalJson(value: JsonValue): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (value instanceof JsonNumber) return canonicalNumber(value.text);
  if (isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const entries = [...value].sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
}

const form = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/;

// Exact: as digits without zeros at either end and a power of ten, since doubles would make different integers one.
function canonicalNumber(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = form.exec(text) ?? [];
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const power = Number(exponent) - fraction.length + digits.length - significant.length;
  return `${sign}${significant}${power === 0 ? '' : `e${power}`}`;
}
