import { parseExpression, type Reference } from './expression/parse-expression.ts';
import { at } from './fault.ts';
import type { Binding } from './pipeline.ts';

/** A place that a binding looks at, and where in the spec that stands. */
export type PlacedReference = Reference & {
  readonly at: string;
  /** True in an expression, which may ask whether something is there. */
  readonly isExpression: boolean;
};

/** All that a binding looks at, as far as its text says. */
export function* referencesOf(binding: Binding | undefined, path: string): Generator<PlacedReference> {
  switch (binding?.kind) {
    case 'ref':
      yield { root: binding.root, path: binding.path, at: path, isExpression: false };
      return;
    case 'cel':
      for (const reference of parseExpression(binding.expression).references) {
        yield { ...reference, at: path, isExpression: true };
      }
      return;
    case 'list':
      for (const [index, item] of binding.items.entries()) yield* referencesOf(item, at(path, index));
      return;
    case 'object':
      for (const [key, member] of binding.members) yield* referencesOf(member, at(path, key));
      return;
    default:
  }
}
