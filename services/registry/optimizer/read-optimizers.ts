import { pageSize } from '@signet/kit/page-token.ts';
import type { Page } from '../page.ts';
import { type Optimizer, optimizerNotFound } from './optimizer.ts';
import type { OptimizerStore } from './store.postgres.ts';

type Deps = { readonly optimizers: OptimizerStore };

/** Asks for a page of optimizers. */
export type ListOptimizersInput = {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
};

/** Reads an optimizer by id or slug; OPTIMIZER_NOT_FOUND, which names `field` if the caller gave one in a request. */
export async function getOptimizer(deps: Deps, named: string, field?: string): Promise<Optimizer> {
  const found = await deps.optimizers.find(named);
  if (found === undefined) throw optimizerNotFound(named, field);
  return found;
}

/** Reads a page of optimizers; INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID. */
export function listOptimizers(deps: Deps, input: ListOptimizersInput): Promise<Page<Optimizer>> {
  return deps.optimizers.list({ ...input, pageSize: pageSize(input.pageSize) });
}
