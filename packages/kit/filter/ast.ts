/** How a field is compared with a value; `:` is "contains", and "has the label" on labels; texts are ordered as the database orders them. */
export type Operator = '=' | '!=' | '<' | '<=' | '>' | '>=' | ':';

/** One comparison of a field with a literal; `at` is its column in the filter, from 1. */
export type Comparison = {
  readonly kind: 'compare';
  /** The field as it was written, such as `status` or `labels.team`. */
  readonly field: string;
  readonly operator: Operator;
  readonly value: string;
  readonly at: number;
  /** Where the value begins, from 1. */
  readonly valueAt: number;
};

/** A filter as a tree. `and` and `or` have at least two terms. */
export type Filter =
  | Comparison
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Filter[] }
  | { readonly kind: 'not'; readonly term: Filter };
