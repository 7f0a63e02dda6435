import { writeJson } from '@signet/signature/write-json.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import type { LmRequest } from './language-model.ts';

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

/** The options of a request by OpenAI's names, and the names of those that its endpoint is not able to follow. */
export type RequestOptions = { readonly options: Record<string, unknown>; readonly dropped: string[] };

/**
 * Joins an endpoint's own options with the request's, which win, without those that are null or belong to the call; a
 * `response_format` or `tools` that its capabilities do not name is dropped, a schema to plain JSON if the endpoint can do that.
 */
export function optionsOf({ endpoint, options: asked }: LmRequest): RequestOptions {
  const options: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(parametersOf(endpoint))) take(options, name, value);
  for (const [name, value] of Object.entries(asked)) take(options, name, value);
  const dropped: string[] = [];
  const { jsonSchema, jsonObject, tools } = endpoint.capabilities;
  if (options.response_format !== undefined) {
    const isSchema = (options.response_format as { type?: unknown }).type === 'json_schema';
    if (isSchema ? !jsonSchema : !jsonObject) {
      dropped.push('response_format');
      if (jsonObject) options.response_format = { type: 'json_object' };
      else delete options.response_format;
    }
  }
  if (!tools && options.tools !== undefined) {
    dropped.push('tools');
    for (const name of ['tools', 'tool_choice', 'parallel_tool_calls']) delete options[name];
  }
  return { options, dropped };
}

/** The name by which the endpoint knows a model of DSPy's form `provider/name`. */
export function modelName(model: string): string {
  return model.slice(model.indexOf('/') + 1);
}

function take(options: Record<string, unknown>, name: string, value: unknown): void {
  if (value !== null && value !== undefined && !reserved.has(name)) options[name] = value;
}

const plain = new WeakMap<LmEndpoint['parameters'], Record<string, unknown>>();

function parametersOf({ parameters }: LmEndpoint): Record<string, unknown> {
  if (parameters.size === 0) return {};
  let known = plain.get(parameters);
  if (known === undefined) {
    known = JSON.parse(writeJson(parameters)) as Record<string, unknown>;
    plain.set(parameters, known);
  }
  return known;
}
