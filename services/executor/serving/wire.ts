import type { ServingPolicy, PromotionGate as WireGate } from '@signet/proto/gen/signet/v1/program.ts';
import { splitOf } from '../dataset/datasets.grpc.ts';
import { checkMetric } from '../metric/metric.ts';
import { fromWireMetric } from '../metric/wire.ts';
import type { PromotionGate } from './promotion-gate.ts';
import type { TrafficShare } from './serving-plan.ts';

/** The parts of a policy that decide who gets which version. */
export function fromServingPolicy(policy: ServingPolicy | undefined): {
  readonly labels: Readonly<Record<string, number>>;
  readonly split: readonly TrafficShare[];
} {
  return { labels: policy?.versionLabels ?? {}, split: policy?.trafficSplit ?? [] };
}

/** A gate as it is kept with a program. INVALID_REQUEST if its metric is none that this executor knows. */
export function fromGate(gate: WireGate): PromotionGate {
  const { dataset, datasetVersion, splits, metric, minScore, maxDrop, maxCostRatio, maxLatencyRatio } = gate;
  return {
    ...{ dataset, datasetVersion, minScore, maxDrop, maxCostRatio, maxLatencyRatio },
    splits: splits.map(splitOf),
    metric: checkMetric(fromWireMetric(metric, 'serving_policy.gate.metric')),
  };
}
