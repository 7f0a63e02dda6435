import type { Attributes, Meter } from '@opentelemetry/api';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import type { LmCompletion } from './language-model.ts';

/** Counts what language models are asked. */
export type LmInstruments = {
  /** An endpoint answered; the cost is in US dollars. */
  answered(endpoint: LmEndpoint, completion: LmCompletion, cost: number | undefined, durationMs: number): void;
  /** An endpoint did not answer, all attempts told. */
  failed(endpoint: LmEndpoint, error: unknown, durationMs: number): void;
  /** An attempt failed, and another one follows. */
  retried(endpoint: LmEndpoint, error: unknown): void;
  /** Another language model is asked in place of this one. */
  fellBack(endpoint: LmEndpoint, error: unknown): void;
};

/** What is read when somebody looks at the metrics. */
export type LmGauges = { openBreakers(): readonly string[] };

/** Makes the instruments of language models, `signet.llm.*`; `provider` is the form that is spoken, `lm` the slug. */
export function createLmInstruments(meter: Meter, gauges: LmGauges): LmInstruments {
  const count = meter.createCounter('signet.llm.request.count', { description: 'Calls of language models that ended' });
  const duration = meter.createHistogram('signet.llm.request.duration', { unit: 'ms' });
  const tokens = meter.createCounter('signet.llm.request.tokens', {
    description: 'Tokens that language models counted',
  });
  const cost = meter.createCounter('signet.llm.request.cost', { description: 'What calls cost, in US dollars' });
  const errors = meter.createCounter('signet.llm.error.count', { description: 'Calls of language models that failed' });
  const retries = meter.createCounter('signet.llm.retry.count', { description: 'Attempts after the first' });
  const fallbacks = meter.createCounter('signet.llm.fallback.count', {
    description: 'Calls that were handed on to another language model',
  });
  meter
    .createObservableGauge('signet.llm.breaker.open', { description: '1 for each language model that is left alone' })
    .addCallback((result) => {
      for (const lm of gauges.openBreakers()) result.observe(1, { lm });
    });
  const known = new WeakMap<LmEndpoint, Labels>();
  const labelsOf = (endpoint: LmEndpoint): Labels => {
    let labels = known.get(endpoint);
    if (labels === undefined) {
      labels = labelsFor(endpoint);
      known.set(endpoint, labels);
    }
    return labels;
  };
  return {
    answered(endpoint, { promptTokens, completionTokens }, price, durationMs) {
      const labels = labelsOf(endpoint);
      count.add(1, labels.all);
      duration.record(durationMs, labels.all);
      if (promptTokens > 0) tokens.add(promptTokens, labels.prompt);
      if (completionTokens > 0) tokens.add(completionTokens, labels.completion);
      if (price !== undefined && price > 0) cost.add(price, labels.all);
    },
    failed(endpoint, error, durationMs) {
      const { all } = labelsOf(endpoint);
      count.add(1, all);
      duration.record(durationMs, all);
      errors.add(1, { ...all, reason: normalizeError(error).reason });
    },
    retried: (endpoint, error) => retries.add(1, { ...labelsOf(endpoint).all, reason: normalizeError(error).reason }),
    fellBack: (endpoint, error) =>
      fallbacks.add(1, { ...labelsOf(endpoint).all, reason: normalizeError(error).reason }),
  };
}

// Made once for an endpoint: they are looked up for each call.
type Labels = { readonly all: Attributes; readonly prompt: Attributes; readonly completion: Attributes };

function labelsFor({ provider, slug }: LmEndpoint): Labels {
  const all = { provider, lm: slug };
  return { all, prompt: { ...all, type: 'prompt' }, completion: { ...all, type: 'completion' } };
}
