import type { FieldChecks } from '../check/field-checks.ts';
import type { ModuleImplementation } from './module.ts';

/** The kinds behind the names of DSPy's classes. */
const pythonKinds: Readonly<Record<string, string>> = {
  'dspy.Predict': 'predict',
  'dspy.ChainOfThought': 'chain_of_thought',
  'dspy.ReAct': 'react',
  'dspy.MultiChainComparison': 'multi_chain_comparison',
  'dspy.BestOfN': 'best_of_n',
  'dspy.Refine': 'refine',
  'dspy.ProgramOfThought': 'program_of_thought',
};

const nativeKinds: Readonly<Record<string, string>> = {
  'native.predict': 'predict',
  'native.chain_of_thought': 'chain_of_thought',
  'native.multi_chain_comparison': 'multi_chain_comparison',
  'native.react': 'react',
};

/** What says how a module is executed. */
export type KindFields = {
  readonly implementation: ModuleImplementation;
  readonly pythonModule: string;
  readonly nativeModule: string;
  /** The kind that the configuration names; empty if it names none. */
  readonly kind: string;
};

/**
 * Finds the kind of a module: python needs `python_module`, native `native_module`, hybrid both, and all that is said must mean one
 * kind. What is wrong is added to `checks`; then the kind counts for nothing.
 */
export function kindOfModule(fields: KindFields, checks: FieldChecks): string {
  const { implementation } = fields;
  const python = sideKind('python_module', fields.pythonModule, implementation !== 'native', implementation, checks);
  const native = sideKind('native_module', fields.nativeModule, implementation !== 'python', implementation, checks);
  if (python !== '' && native !== '' && python !== native) {
    checks.add('native_module', 'must be of the same kind as python_module');
  }
  const kind = python || native;
  if (fields.kind !== '' && kind !== '' && fields.kind !== kind) {
    checks.add('configuration.module', `must be ${kind}, as the modules say, or empty`);
  }
  return kind || 'predict';
}

function sideKind(
  field: 'python_module' | 'native_module',
  value: string,
  isNeeded: boolean,
  implementation: ModuleImplementation,
  checks: FieldChecks,
): string {
  if (!isNeeded) {
    if (value !== '') checks.add(field, `must be empty for the implementation ${implementation}`);
    return '';
  }
  if (value === '') {
    checks.add(field, `is required for the implementation ${implementation}`, 'REQUIRED');
    return '';
  }
  if (field === 'python_module' && /^python:[A-Z][a-zA-Z0-9_.]{0,254}$/.test(value)) return value;
  const kinds = field === 'python_module' ? pythonKinds : nativeKinds;
  if (Object.hasOwn(kinds, value)) return kinds[value] ?? '';
  const more = field === 'python_module' ? ', and python:NAME of the allow-list' : '';
  checks.add(field, `is unknown; there are ${Object.keys(kinds).join(', ')}${more}`, 'MODULE_INVALID');
  return '';
}
