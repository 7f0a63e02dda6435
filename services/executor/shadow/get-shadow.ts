import type { Execution } from '../execution/execution.ts';
import type { ExecutionShadow } from './shadow.ts';
import type { ShadowStore } from './store.postgres.ts';

/** How another engine did what an execution had done; undefined if nobody asked for that, or if it has not ended. */
export async function getShadow(
  deps: { readonly shadows: ShadowStore },
  { id, options }: Pick<Execution, 'id' | 'options'>,
): Promise<ExecutionShadow | undefined> {
  return options.shadow === undefined ? undefined : deps.shadows.get(id);
}
