import type { Dialect } from '../engine/engine.ts';

const deciding = ['dspy', 'json_repair', 'pydantic', 'python'] as const;

/** True if the same versions decide prompts and how replies are read; which adapter was asked for is the program's affair. */
export function isSameDialect(a: Dialect, b: Dialect): boolean {
  return deciding.every((name) => (a[name] ?? '') === (b[name] ?? ''));
}
