import {
  type PromotionGate as WireGate,
  type ServingPolicy as WirePolicy,
  ServingPolicy as WirePolicyType,
} from '@signet/proto/gen/signet/v1/program.ts';
import type { JsonRecord } from '../check/field-checks.ts';
import type { PromotionGate, ServingPolicy } from './serving-policy.ts';

/** Reads a policy in the form in which it is kept. */
export function readServingPolicy(wire: WirePolicy | undefined): ServingPolicy {
  if (wire === undefined) return {};
  const { gate, versionLabels, trafficSplit } = wire;
  return {
    ...(gate === undefined ? {} : { gate: readGate(gate) }),
    ...(Object.keys(versionLabels).length === 0 ? {} : { versionLabels }),
    ...(trafficSplit.length === 0
      ? {}
      : { trafficSplit: trafficSplit.map(({ version, percent }) => ({ version, percent })) }),
  };
}

function readGate(gate: WireGate): PromotionGate {
  const { dataset, datasetVersion, splits, metric, minScore, maxDrop, maxCostRatio, maxLatencyRatio } = gate;
  const rule = metric && ({ ...metric, timeoutMs: String(metric.timeoutMs) } as JsonRecord);
  return {
    ...{ dataset, datasetVersion, splits, metric: rule },
    ...(minScore === undefined ? {} : { minScore }),
    ...(maxDrop === undefined ? {} : { maxDrop }),
    ...(maxCostRatio === undefined ? {} : { maxCostRatio }),
    ...(maxLatencyRatio === undefined ? {} : { maxLatencyRatio }),
  };
}

/** Writes a policy; undefined if nothing was said. */
export function toWireServingPolicy(policy: ServingPolicy): WirePolicy | undefined {
  if (Object.keys(policy).length === 0) return undefined;
  const { gate, versionLabels = {}, trafficSplit = [] } = policy;
  const metric = gate?.metric && { ...gate.metric, timeoutMs: BigInt(String(gate.metric.timeoutMs ?? 0)) };
  return WirePolicyType.fromPartial({
    ...(gate === undefined ? {} : { gate: { ...gate, splits: [...gate.splits] as WireGate['splits'], metric } }),
    versionLabels,
    trafficSplit: [...trafficSplit],
  });
}
