import { Engine as WireEngine } from '@signet/proto/gen/signet/v1/common.ts';
import {
  type ExecutionShadow as WireShadow,
  ShadowStatus as WireStatus,
  type ShadowSummary as WireSummary,
} from '@signet/proto/gen/signet/v1/shadow.ts';
import type { ComparedEngine, ExecutionShadow, ShadowStatus, ShadowSummary } from './shadow.ts';

const wireEngines: Readonly<Record<ComparedEngine, WireEngine>> = {
  python: WireEngine.ENGINE_PYTHON,
  native: WireEngine.ENGINE_NATIVE,
};
const wireStatuses: Readonly<Record<ShadowStatus, WireStatus>> = {
  equal: WireStatus.SHADOW_STATUS_EQUAL,
  different: WireStatus.SHADOW_STATUS_DIFFERENT,
  failed: WireStatus.SHADOW_STATUS_FAILED,
  skipped: WireStatus.SHADOW_STATUS_SKIPPED,
};

/** A comparison as callers see it. */
export function toWireShadow(shadow: ExecutionShadow): WireShadow {
  const { executionId, programId, slug, version, reason, message, createTime } = shadow;
  return {
    ...{ executionId, programId, program: slug, version, reason, message, createTime },
    engine: wireEngines[shadow.engine],
    primaryEngine: wireEngines[shadow.primaryEngine],
    status: wireStatuses[shadow.status],
    differences: { ...shadow.differences },
    figures: { ...shadow.figures },
  };
}

/** The comparisons of a program in figures, as callers see them. */
export function toWireSummary({ programId, slug, counts }: ShadowSummary): WireSummary {
  return { programId, program: slug, ...counts };
}
