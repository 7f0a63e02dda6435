import { AppError, type FieldViolation } from '@signet/kit/error/app-error.ts';
import { findUnstorableText, isStorableText, JsonError, jsonFromPlain } from '@signet/signature/json.ts';

/** Anything a caller keeps with a resource: a JSON object. */
export type JsonRecord = Record<string, unknown>;

/** The bounds of a text. */
export type TextBounds = { readonly max: number; readonly required?: boolean; readonly oneLine?: boolean };

const labelsMax = 64;
const labelKey = /^[a-z][a-z0-9_.-]{0,62}$/;
const labelValueMax = 256;

/** Gathers what is wrong with the fields of a request, so that a caller learns all of it at once. */
export class FieldChecks {
  private readonly violations: FieldViolation[] = [];

  /** Adds a fault of a field; at most 100 are kept. */
  add(field: string, description: string, reason = 'INVALID'): void {
    if (this.violations.length < 100) this.violations.push({ field, reason, description });
  }

  /** Checks a text of at most `max` characters; a required one must hold more than spaces. */
  text(field: string, value: string, bounds: TextBounds): void {
    if (bounds.required && value.trim() === '') this.add(field, 'is required', 'REQUIRED');
    if (value.length > bounds.max) this.add(field, `must have at most ${bounds.max} characters`, 'TOO_LONG');
    if (!isStorableText(value)) {
      this.add(field, 'must not hold \\u0000 or half a surrogate pair', 'TEXT_INVALID');
    } else if (bounds.oneLine && /[\p{Cc}]/u.test(value)) {
      this.add(field, 'must not hold line breaks or control characters', 'TEXT_INVALID');
    }
  }

  /** Checks labels: at most 64, keys `[a-z][a-z0-9_.-]{0,62}`, values of at most 256 characters. */
  labels(field: string, labels: Readonly<Record<string, string>>): void {
    const entries = Object.entries(labels);
    if (entries.length > labelsMax) this.add(field, `must have at most ${labelsMax} entries`, 'TOO_MANY');
    for (const [key, value] of entries.slice(0, labelsMax)) {
      const path = `${field}[${JSON.stringify(key.slice(0, 64))}]`;
      if (!labelKey.test(key)) this.add(path, 'the key must match ^[a-z][a-z0-9_.-]{0,62}$', 'LABEL_KEY');
      this.text(path, value, { max: labelValueMax });
    }
  }

  /** Checks a JSON object that is only kept: what Postgres cannot hold, NaN and more than 32 levels are refused. */
  json(field: string, value: JsonRecord | undefined): void {
    if (value === undefined) return;
    try {
      const unstorable = findUnstorableText(jsonFromPlain(value), field);
      if (unstorable !== undefined) {
        this.add(unstorable, 'must not hold \\u0000 or half a surrogate pair', 'TEXT_INVALID');
      }
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      this.add(field, error.message, error.reason);
    }
  }

  /** Throws INVALID_REQUEST with everything that was found, if anything was. */
  done(): void {
    const [first, ...others] = this.violations;
    if (first === undefined) return;
    const rest = others.length === 0 ? '' : ` (and ${others.length} more)`;
    throw new AppError('INVALID_REQUEST', `${first.field}: ${first.description}${rest}`, {
      fieldViolations: this.violations,
      metadata: { field: first.field },
    });
  }
}
