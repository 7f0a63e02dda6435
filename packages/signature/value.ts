import { mismatch } from './check-scalar.ts';
import { compileType } from './check-type.ts';
import { compileConstraints } from './constraint.ts';
import { findFieldType } from './field-type.ts';
import { isObject, type JsonObject, type JsonValue } from './json.ts';
import { limits } from './limits.ts';
import { suggest } from './suggest.ts';
import { admitsNone, type Field } from './types.ts';
import { type FieldViolation, type Run, refuse, startRun } from './violation.ts';

/** How values are checked. */
export interface CheckOptions {
  /** True (the default): unknown fields and other types are faults, save an integer for a float. False: coerce, ignore extras. */
  readonly strictMode?: boolean;
  /** What paths begin with; `inputs` unless said. */
  readonly root?: string;
  /** True: fields may be missing and stay so, as in an example for the prompt. False is the default. */
  readonly partial?: boolean;
}

/** The values in signature order, or all faults (at most 100). */
export type CheckResult =
  | { readonly ok: true; readonly values: JsonObject }
  | { readonly ok: false; readonly violations: readonly FieldViolation[] };

/** Checks the values of one side of a signature. */
export type Checker = (value: JsonValue) => CheckResult;

/** Checks values against fields, once; whoever checks often keeps a `compileChecker`. */
export function checkValues(fields: readonly Field[], value: JsonValue, options: CheckOptions = {}): CheckResult {
  return compileChecker(fields, options)(value);
}

/**
 * Makes a checker of one side of a signature. It never throws and does not change its argument. A field that is left out
 * gets its default, else `null` where its type admits `None`, else it is a fault.
 */
export function compileChecker(fields: readonly Field[], options: CheckOptions = {}): Checker {
  const strict = options.strictMode ?? true;
  const root = options.root ?? 'inputs';
  const names = fields.map((field) => field.name);
  const known = new Set(names);
  const checks = fields.map((field) => compileField(field, strict, options.partial ?? false));
  return (value) => {
    const run = startRun(root);
    if (!isObject(value)) {
      mismatch(run, 'object', value);
      return { ok: false, violations: run.violations };
    }
    const values = new Map<string, JsonValue>();
    let found = 0;
    run.depth = 1;
    for (let index = 0; index < names.length; index++) {
      const name = names[index]!;
      const given = value.get(name);
      if (given !== undefined) found++;
      run.path[0] = name;
      const checked = checks[index]!(given, run);
      if (checked !== undefined) values.set(name, checked);
    }
    if (strict && found !== value.size) refuseUnknown(value, known, run);
    return run.violations.length === 0 ? { ok: true, values } : { ok: false, violations: run.violations };
  };
}

type FieldCheck = (value: JsonValue | undefined, run: Run) => JsonValue | undefined;

function compileField(field: Field, strict: boolean, partial: boolean): FieldCheck {
  const check = compileType(field.type, strict ? 'strict' : 'lax');
  const satisfies = field.constraints.length > 0 ? compileConstraints(field.constraints) : undefined;
  // Not `??`: a default may be None itself, also of a type such as Any that does not stand for it.
  const fallback = field.default !== undefined ? field.default : admitsNone(field.type) ? null : undefined;
  const absent = partial ? undefined : fallback;
  const registered = field.registered === undefined ? undefined : findFieldType(field.registered);
  const finish = (checked: JsonValue, run: Run): JsonValue | undefined => {
    if (satisfies !== undefined && !satisfies(checked, run)) return undefined;
    if (registered === undefined) return checked;
    const applied = registered.apply(checked);
    if (typeof applied === 'string') return refuse(run, 'TYPE_MISMATCH', applied);
    // An operator's converter is as untrusted as a caller: what it makes must be of the type that engines were told of.
    return check(applied.value, run);
  };
  return (value, run) => {
    if (value === undefined) {
      if (absent === undefined && !partial) refuse(run, 'FIELD_MISSING', `the field \`${field.name}\` is missing`);
      return absent;
    }
    const checked = check(value, run);
    return checked === undefined ? undefined : finish(checked, run);
  };
}

function refuseUnknown(value: JsonObject, known: ReadonlySet<string>, run: Run): void {
  let refused = 0;
  for (const key of value.keys()) {
    if (known.has(key)) continue;
    run.path[0] = key;
    // A suggestion costs time, so only the first few get one.
    const hint = refused < 5 ? suggest(key, known) : '';
    refuse(run, 'FIELD_UNKNOWN', `the signature has no such field${hint}`);
    if (++refused >= limits.violationsMax) return;
  }
}
