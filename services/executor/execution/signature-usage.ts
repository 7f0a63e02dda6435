import type { CallContext } from '@signet/kit/call-context.ts';
import type { AggregateStore, ExecutionAggregate } from './aggregate.postgres.ts';

/** What knowing a signature's use needs. */
export type UsageDeps = {
  readonly aggregates: AggregateStore;
  /** Who uses a signature, as the registry tells; SIGNATURE_NOT_FOUND. */
  readonly registry: {
    signatureUsers(
      signature: string,
      ctx: CallContext,
    ): Promise<{
      readonly signatureId: string;
      readonly moduleCount: bigint;
      readonly programCount: bigint;
      readonly programIds: readonly string[];
    }>;
  };
};

/** Who uses a signature and how that goes. */
export type SignatureUsage = {
  readonly signatureId: string;
  readonly moduleCount: bigint;
  readonly programCount: bigint;
  readonly executions: ExecutionAggregate;
};

/** Tells who uses a signature and how that goes, deleted programs' executions included. Fails with SIGNATURE_NOT_FOUND. */
export async function getSignatureUsage(deps: UsageDeps, signature: string, ctx: CallContext): Promise<SignatureUsage> {
  const { signatureId, moduleCount, programCount, programIds } = await deps.registry.signatureUsers(signature, ctx);
  return { signatureId, moduleCount, programCount, executions: await deps.aggregates.ofPrograms(programIds) };
}
