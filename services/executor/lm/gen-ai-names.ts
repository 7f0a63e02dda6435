/** Attributes of spans about language models, by OpenTelemetry's conventions for generative AI and for servers, and our own. */
export const genAi = {
  operation: 'gen_ai.operation.name',
  provider: 'gen_ai.provider.name',
  requestModel: 'gen_ai.request.model',
  temperature: 'gen_ai.request.temperature',
  maxTokens: 'gen_ai.request.max_tokens',
  inputTokens: 'gen_ai.usage.input_tokens',
  outputTokens: 'gen_ai.usage.output_tokens',
  finishReasons: 'gen_ai.response.finish_reasons',
  serverAddress: 'server.address',
  serverPort: 'server.port',
  /** The slug of the language model that was asked. */
  languageModel: 'signet.lm.slug',
  /** The slug of the language model that this one stands in for. */
  fallbackOf: 'signet.lm.fallback_of',
  /** Names of options that the endpoint was not told. */
  droppedOptions: 'signet.lm.dropped_options',
  /** What the call cost, in US dollars. */
  cost: 'signet.lm.cost',
} as const;
