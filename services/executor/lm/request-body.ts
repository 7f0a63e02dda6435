import { chatGrammar, jsonGrammar } from './grammar.ts';
import type { LmRequest } from './language-model.ts';
import { outputSchema } from './output-schema.ts';

// Grammars fence the model in line by line; fewer tokens could end it within a header.
const constrainedTokensMin = 256;
const fieldTokensMin = 64;

// Names that belong to the call itself or to DSPy: a program's options must not reach past them.
const reserved = new Set([
  ...[
    'model',
    'messages',
    'stream',
    'stream_options',
    'api_key',
    'api_base',
    'base_url',
    'headers',
    'extra_headers',
    'extra_body',
  ],
  ...['cache', 'rollout_id', 'num_retries', 'timeout', 'engine', 'prompt_cache', 'grammar'],
]);

/** Writes the JSON body of an OpenAI chat completion, with what holds the reply to its form where the endpoint can. */
export function requestBody(request: LmRequest, stream: boolean): string {
  const body: Record<string, unknown> = { model: modelName(request.endpoint.model), messages: request.messages };
  for (const [name, value] of Object.entries(request.options)) {
    if (value !== null && value !== undefined && !reserved.has(name)) body[name] = value;
  }
  constrain(body, request);
  if (stream) {
    body.stream = true;
    body.stream_options = { include_usage: true };
  }
  return JSON.stringify(body);
}

/** The name by which the endpoint knows a model of DSPy's form `provider/name`. */
export function modelName(model: string): string {
  return model.slice(model.indexOf('/') + 1);
}

/** The provider in DSPy's form `provider/name`; `openai` if it names none. */
export function providerName(model: string): string {
  const slash = model.indexOf('/');
  return slash > 0 ? model.slice(0, slash) : 'openai';
}

function constrain(body: Record<string, unknown>, request: LmRequest): void {
  const { endpoint, promptAdapter, outputFields } = request;
  if (endpoint.constrained === 'none' || outputFields.length === 0) return;
  const isJson = promptAdapter === 'json';
  if (endpoint.constrained === 'grammar' && (isJson || promptAdapter === 'chat')) {
    body.grammar = isJson ? jsonGrammar(outputFields) : chatGrammar(outputFields);
    // llama.cpp takes one or the other, and a schema of DSPy's has no bounds.
    delete body.response_format;
    const asked = typeof body.max_tokens === 'number' ? body.max_tokens : 0;
    body.max_tokens = Math.max(asked, constrainedTokensMin, outputFields.length * fieldTokensMin);
  } else if (endpoint.constrained === 'json_schema' && isJson) {
    const given = body.response_format as { type?: unknown } | undefined;
    if (given?.type === 'json_schema') return;
    const json_schema = { name: 'outputs', schema: outputSchema(outputFields), strict: true };
    body.response_format = { type: 'json_schema', json_schema };
  }
}
