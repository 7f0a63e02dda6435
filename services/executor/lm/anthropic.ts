import { ChatReply, countOf, isObject, type Json, objectsOf, withoutMessage } from './chat-reply.ts';
import type { LmRequest } from './language-model.ts';
import { defined, OptionMap } from './option-map.ts';
import { outputSchema } from './output-schema.ts';
import type { Provider, WrittenRequest } from './provider.ts';
import { modelName, optionsOf } from './request-options.ts';
import { conversationOf } from './turns.ts';

/** Sent when nobody says how long a reply may be: the Messages form wants a number. */
export const maxTokensDefault = 4096;

const version = '2023-06-01';
// Words of the Messages form itself, which go out as they are.
const ownOptions = ['top_k', 'thinking', 'metadata', 'service_tier', 'output_config'] as const;
const finishWords = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool_calls',
};

/** Anthropic's own Messages form. */
export const anthropic: Provider = {
  name: 'anthropic',
  base: 'https://api.anthropic.com',
  path: (basePath) => `${basePath.replace(/\/v1$/, '')}/v1/messages`,
  credential: (apiKey): Record<string, string> => ({
    'anthropic-version': version,
    ...(apiKey === '' ? {} : { 'x-api-key': apiKey }),
  }),
  write,
  createReply: (apiKey) => new AnthropicReply(apiKey),
};

function write(request: LmRequest, stream: boolean): WrittenRequest {
  const { options, dropped } = optionsOf(request);
  const map = new OptionMap('anthropic', options);
  const { system, turns } = conversationOf(request.messages);
  const body = defined({
    model: modelName(request.endpoint.model),
    max_tokens: map.take('max_completion_tokens', 'max_tokens') ?? maxTokensDefault,
    system: system.length === 0 ? undefined : system.map(textBlock),
    messages: turns.map(({ role, texts }) => ({ role, content: texts.map(textBlock) })),
    temperature: map.take('temperature'),
    top_p: map.take('top_p'),
    stop_sequences: map.takeStops('stop', 'stop_sequences'),
    ...Object.fromEntries(ownOptions.map((name) => [name, map.take(name)])),
    stream: stream || undefined,
  });
  const user = map.take('user');
  if (typeof user === 'string' && body.metadata === undefined) body.metadata = { user_id: user };
  writeTools(body, map);
  writeFormat(body, map, request);
  map.refuse();
  return { body: JSON.stringify(body), dropped: [...dropped, ...map.names()] };
}

function textBlock(text: string): object {
  return { type: 'text', text };
}

function writeTools(body: Json, map: OptionMap): void {
  const tools = map.takeTools();
  const choice = map.takeToolChoice();
  const isParallel = map.take('parallel_tool_calls');
  if (tools === undefined) return;
  body.tools = tools.map(({ name, description, parameters }) => ({ name, description, input_schema: parameters }));
  const type = choice === 'required' ? 'any' : choice;
  const wanted = typeof type === 'object' ? { type: 'tool', name: type.name } : { type: type ?? 'auto' };
  if (isParallel === false && wanted.type !== 'none') body.tool_choice = { ...wanted, disable_parallel_tool_use: true };
  else if (choice !== undefined) body.tool_choice = wanted;
}

// A JSON object without a schema is not known here: the prompt asks for it in words already.
function writeFormat(body: Json, map: OptionMap, { endpoint, promptAdapter, outputFields }: LmRequest): void {
  let schema = map.takeFormat();
  const isForced = endpoint.constrained === 'json_schema' && promptAdapter === 'json' && outputFields.length > 0;
  if (isForced && typeof schema !== 'object') schema = outputSchema(outputFields);
  if (typeof schema !== 'object') return;
  const config = isObject(body.output_config) ? body.output_config : {};
  body.output_config = { ...config, format: { type: 'json_schema', schema } };
}

class AnthropicReply extends ChatReply {
  protected takeWhole(body: Json): void {
    if (!Array.isArray(body.content)) throw withoutMessage();
    this.#count(body.usage);
    this.grow(objectsOf(body.content).map(textOf).join(''));
    this.#stop(body.stop_reason);
  }

  // Events of other types (ping, block starts and stops, those to come) say nothing that matters here.
  protected takeEvent(body: Json): string {
    switch (body.type) {
      case 'message_start':
        if (isObject(body.message)) this.#count(body.message.usage);
        return '';
      case 'content_block_start':
        return isObject(body.content_block) ? this.grow(textOf(body.content_block)) : '';
      case 'content_block_delta':
        return isObject(body.delta) ? this.grow(textOf(body.delta)) : '';
      case 'message_delta':
        this.#count(body.usage);
        if (isObject(body.delta)) this.#stop(body.delta.stop_reason);
        return '';
      case 'message_stop':
        this.done = true;
        return '';
      default:
        return '';
    }
  }

  #stop(reason: unknown): void {
    this.finish(reason, finishWords, ['refusal']);
  }

  // Counts at the end of a stream are of all of it; what a cache gave is told apart there.
  #count(usage: unknown): void {
    if (!isObject(usage)) return;
    const input = countOf(usage.input_tokens);
    if (input !== undefined) {
      const cached = (countOf(usage.cache_creation_input_tokens) ?? 0) + (countOf(usage.cache_read_input_tokens) ?? 0);
      this.promptTokens = input + cached;
    }
    this.completionTokens = countOf(usage.output_tokens) ?? this.completionTokens;
  }
}

// Thinking, tool calls and whatever comes besides are not part of the text.
function textOf({ type, text }: Json): string {
  return (type === 'text' || type === 'text_delta') && typeof text === 'string' ? text : '';
}
