import type { CheckLanguageModelResponse } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import type { CheckResult } from './check-language-model.ts';

/** Writes what trying a language model came to. */
export function toWireCheck({ endpoint, plain, probes, suggested }: CheckResult): CheckLanguageModelResponse {
  return {
    languageModel: endpoint.slug,
    model: endpoint.model,
    reachable: plain.ok,
    latencyMs: BigInt(plain.latencyMs),
    reason: plain.reason,
    message: plain.message,
    probes: probes.map((probe) => ({ ...probe, latencyMs: BigInt(probe.latencyMs) })),
    suggestedCapabilities: suggested,
  };
}
