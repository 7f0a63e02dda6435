import type { ParseOptions } from './cursor.ts';
import { jsonFromPlain } from './json.ts';
import { isModuleName, moduleNameMessage } from './module-name.ts';
import { fromParsedSpec } from './parsed-spec.ts';
import { parseSpec } from './parser.ts';
import { printSpec } from './print.ts';
import { SignatureError } from './signature-error.ts';
import type { ConstraintName, SignatureSpec } from './types.ts';

/** A signature under the name of its module. */
export interface SignatureDefinition {
  readonly module: string;
  /** The canonical text. */
  readonly spec: string;
  readonly signature: SignatureSpec;
}

/** What can be said about a field beside its name and type. */
export interface FieldSettings {
  readonly description?: string;
  readonly constraints?: Partial<Record<ConstraintName, number>>;
  /** Plain JSON data; `null` is a default too. */
  readonly default?: unknown;
}

/** Collects fields in the order of the calls; each call gives back the same builder. */
export interface SignatureBuilder {
  input(name: string, type?: string, settings?: FieldSettings): SignatureBuilder;
  output(name: string, type?: string, settings?: FieldSettings): SignatureBuilder;
}

/**
 * Defines a signature module in code, from the spec form or field by field:
 * `defineSignature('Shop.Answer', (s) => s.input('question').output('answer', 'list[str]'))`. Throws SignatureError, and
 * JsonError for a default or a bound that JSON cannot hold.
 */
export function defineSignature(
  module: string,
  definition: string | ((builder: SignatureBuilder) => SignatureBuilder),
  options: ParseOptions = {},
): SignatureDefinition {
  if (!isModuleName(module)) throw new SignatureError('SIGNATURE_TYPE', moduleNameMessage);
  const signature = typeof definition === 'string' ? parseSpec(definition, options) : build(definition, options);
  return { module, spec: printSpec(signature), signature };
}

function build(fill: (builder: SignatureBuilder) => SignatureBuilder, options: ParseOptions): SignatureSpec {
  const inputs: unknown[] = [];
  const outputs: unknown[] = [];
  const builder: SignatureBuilder = {
    input: (name, type = 'str', settings = {}) => {
      inputs.push({ ...settings, name, type });
      return builder;
    },
    output: (name, type = 'str', settings = {}) => {
      outputs.push({ ...settings, name, type });
      return builder;
    },
  };
  fill(builder);
  return fromParsedSpec(jsonFromPlain({ inputs, outputs }), options);
}
