import type { CallContext } from '@signet/kit/call-context.ts';
import type { ExecutionTree as WireTree } from '@signet/proto/gen/signet/v1/execution_service.ts';
import type { ExecutionTree } from './get-execution-tree.ts';
import { type PayloadKind, toWireExecution } from './wire.ts';

/** A tree as it is answered; only its root says whether all of it is there. */
export function toWireTree(
  { execution, children, isTruncated = false }: ExecutionTree & { readonly isTruncated?: boolean },
  kind: PayloadKind,
  ctx: CallContext,
): WireTree {
  return {
    execution: toWireExecution(execution, kind, ctx),
    children: children.map((child) => toWireTree(child, kind, ctx)),
    truncated: isTruncated,
  };
}
