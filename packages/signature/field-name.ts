import { limits } from './limits.ts';

const keywords = new Set(
  (
    'False None True and as assert async await break class continue def del elif else except finally for from global if ' +
    'import in is lambda nonlocal not or pass raise return try while with yield'
  ).split(' '),
);

// The first five shadow properties of DSPy's metaclass, the next ones pydantic's own; the last two break objects of JavaScript clients.
const taken = new Set([
  'fields',
  'instructions',
  'input_fields',
  'output_fields',
  'signature',
  'model_config',
  'model_fields',
  'model_dump',
  'model_dump_json',
  'model_validate',
  'model_validate_json',
  'model_validate_strings',
  'constructor',
  '__proto__',
]);

// DSPy's Predict takes these arguments for itself, so an input of the name would never reach the prompt.
const takenInputs = new Set(['config', 'demos', 'lm', 'self', 'new_signature', 'completions']);

const identifier = /^[\p{XID_Start}_]\p{XID_Continue}*$/u;

/** Says what is wrong with a field's name (already NFKC), or nothing if DSPy accepts it: a Python identifier, public, not reserved. */
export function fieldNameProblem(name: string, output: boolean): string | undefined {
  const shown = name.length > 64 ? `${name.slice(0, 64)}…` : name;
  if ([...name].length > limits.nameCharactersMax) {
    return `field name \`${shown}\` is longer than ${limits.nameCharactersMax} characters`;
  }
  if (name.normalize('NFKC') !== name || !identifier.test(name)) return `\`${shown}\` is not a Python identifier`;
  if (keywords.has(name)) return `\`${shown}\` is a Python keyword and cannot name a field`;
  if (taken.has(name)) return `\`${shown}\` is reserved and cannot name a field`;
  if (!output && takenInputs.has(name)) return `DSPy keeps \`${shown}\` for itself, so it cannot name an input`;
  if (name.startsWith('_')) return `field name \`${shown}\` must not begin with an underscore`;
  return undefined;
}
