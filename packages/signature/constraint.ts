import { isArray, isObject, JsonNumber, type JsonValue } from './json.ts';
import { compareNumbers, isMultiple } from './number.ts';
import { printType } from './print.ts';
import { type Constraint, type ConstraintName, type Type, withoutNone } from './types.ts';
import { type Run, refuse } from './violation.ts';

const bounds: readonly ConstraintName[] = ['gt', 'ge', 'lt', 'le', 'multiple_of'];
const sizedKinds: readonly Type['kind'][] = ['str', 'list', 'set', 'dict', 'tuple_variadic', 'embedding'];

/** Says why a type cannot carry a constraint beside the earlier ones, or nothing if it can. `X | None` is bound as X. */
export function constraintProblem(type: Type, earlier: readonly Constraint[], added: Constraint): string | undefined {
  const bound = withoutNone(type);
  const { name, value } = added;
  if (earlier.some((other) => other.name === name)) return `\`${name}\` stands twice`;
  const isBound = bounds.includes(name);
  const isNumeric = bound.kind === 'int' || bound.kind === 'float' || bound.kind === 'probability';
  const isSized = sizedKinds.includes(bound.kind) && !(bound.kind === 'embedding' && bound.dimension !== undefined);
  if (isBound ? !isNumeric : !isSized) return `\`${name}\` does not apply to \`${printType(type)}\``;
  if (!Number.isFinite(value.toNumber())) return `\`${name}\` is beyond the range of a double`;
  if (!isBound && !/^[0-9]{1,15}$/.test(value.text)) return `\`${name}\` must be a whole number from 0`;
  if (bound.kind === 'int' && !value.isInteger) return `\`${name}\` of an \`int\` must be an integer`;
  if (name === 'multiple_of') return value.toNumber() > 0 ? undefined : '`multiple_of` must be greater than 0';
  if (bound.kind === 'probability' && (value.toNumber() < 0 || value.toNumber() > 1)) {
    return `\`${name}\` of a probability must lie between 0 and 1`;
  }
  return conflict(earlier, added);
}

function conflict(earlier: readonly Constraint[], added: Constraint): string | undefined {
  const all = [...earlier, added];
  const lowest = all.filter(({ name }) => name === 'gt' || name === 'ge' || name === 'min_length');
  const highest = all.filter(({ name }) => name === 'lt' || name === 'le' || name === 'max_length');
  for (const low of lowest) {
    for (const high of highest) {
      const difference = compareNumbers(low.value, high.value);
      const open = low.name === 'gt' || high.name === 'lt';
      if (difference > 0 || (difference === 0 && open)) {
        return `no value satisfies ${low.name}=${low.value.text} and ${high.name}=${high.value.text}`;
      }
    }
  }
  return undefined;
}

/** Makes the check of a field's constraints on a value that already has the field's type; `null` satisfies all. */
export function compileConstraints(constraints: readonly Constraint[]): (value: JsonValue, run: Run) => boolean {
  return (value, run) => {
    if (value === null) return true;
    let fits = true;
    for (const constraint of constraints) {
      if (satisfies(value, constraint)) continue;
      fits = false;
      refuse(run, 'CONSTRAINT_VIOLATED', describe(constraint, value));
    }
    return fits;
  };
}

function satisfies(value: JsonValue, { name, value: bound }: Constraint): boolean {
  if (name === 'min_length') return lengthOf(value) >= bound.toNumber();
  if (name === 'max_length') return lengthOf(value) <= bound.toNumber();
  if (!(value instanceof JsonNumber)) return false;
  if (name === 'multiple_of') return isMultiple(value, bound);
  const difference = compareNumbers(value, bound);
  if (name === 'gt') return difference > 0;
  if (name === 'ge') return difference >= 0;
  return name === 'lt' ? difference < 0 : difference <= 0;
}

/** The length as Python counts it: characters, not UTF-16 units. */
function lengthOf(value: JsonValue): number {
  if (isArray(value)) return value.length;
  if (isObject(value)) return value.size;
  if (typeof value !== 'string') return 0;
  let length = value.length;
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code >= 0xd800 && code < 0xdc00) length--;
  }
  return length;
}

const wording: Record<ConstraintName, string> = {
  gt: 'must be greater than',
  ge: 'must be at least',
  lt: 'must be less than',
  le: 'must be at most',
  multiple_of: 'must be a multiple of',
  min_length: 'must have at least',
  max_length: 'must have at most',
};

function describe({ name, value: bound }: Constraint, value: JsonValue): string {
  if (name !== 'min_length' && name !== 'max_length') return `${wording[name]} ${bound.text}`;
  const unit = typeof value === 'string' ? 'character' : isObject(value) ? 'entry' : 'item';
  const plural = unit === 'entry' ? 'entries' : `${unit}s`;
  return `${wording[name]} ${bound.text} ${bound.text === '1' ? unit : plural}, has ${lengthOf(value)}`;
}
