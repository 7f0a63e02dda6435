import type { LmCapabilities, LmEndpoint, LmProvider } from './engine.ts';

/** What one has to say of a language model; the rest has defaults. */
export type LmEndpointInput = Pick<LmEndpoint, 'model' | 'apiBase' | 'apiKey' | 'constrained'> & Partial<LmEndpoint>;

/**
 * Completes a language model's endpoint: the provider is what the model's name begins with (`openai` for every other beginning), a
 * private address is allowed, and an endpoint whose replies are constrained takes schemas; of others nothing is known but that they stream.
 */
export function lmEndpoint(input: LmEndpointInput): LmEndpoint {
  return {
    slug: 'default',
    provider: providerOf(input.model),
    capabilities: capabilitiesOf(input.constrained),
    allowPrivate: true,
    parameters: new Map(),
    fallbacks: [],
    ...input,
  };
}

/** The provider that a model's name in DSPy's form `provider/name` begins with; `openai` for whatever is neither of the other two. */
export function providerOf(model: string): LmProvider {
  const name = model.slice(0, model.indexOf('/'));
  return name === 'anthropic' || name === 'gemini' ? name : 'openai';
}

function capabilitiesOf(constrained: LmEndpoint['constrained']): LmCapabilities {
  // Whoever is led by a grammar takes schemas too; of others nothing is known, and plain text always works.
  const structured = constrained !== 'none';
  const grammar = constrained === 'grammar';
  return { jsonSchema: structured, jsonObject: structured, grammar, streaming: true, tools: false };
}
