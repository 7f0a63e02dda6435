import { ChatReply, countOf, isObject, type Json, objectsOf, withoutMessage } from './chat-reply.ts';
import { refusedAnswer } from './failure.ts';
import { chatGrammar, jsonGrammar } from './grammar.ts';
import type { LmRequest } from './language-model.ts';
import { outputSchema } from './output-schema.ts';
import type { Provider, WrittenRequest } from './provider.ts';
import { modelName, optionsOf } from './request-options.ts';

// Grammars fence the model in line by line; fewer tokens could end it within a header.
const constrainedTokensMin = 256;
const fieldTokensMin = 64;

/** OpenAI's chat completions, which most servers of models speak. */
export const openai: Provider = {
  name: 'openai',
  base: 'https://api.openai.com/v1',
  path: (basePath) => `${basePath}/chat/completions`,
  credential: (apiKey): Record<string, string> => (apiKey === '' ? {} : { authorization: `Bearer ${apiKey}` }),
  write,
  createReply: (apiKey) => new OpenAiReply(apiKey),
};

// Options go out under their own names: what an endpoint does not know, it says itself.
function write(request: LmRequest, stream: boolean): WrittenRequest {
  const { options, dropped } = optionsOf(request);
  const body: Record<string, unknown> = { model: modelName(request.endpoint.model), messages: request.messages };
  Object.assign(body, options);
  constrain(body, request);
  if (stream) {
    body.stream = true;
    body.stream_options = { include_usage: true };
  }
  return { body: JSON.stringify(body), dropped };
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

class OpenAiReply extends ChatReply {
  #refusal = '';

  protected takeWhole(body: Json): void {
    const choice = this.#choice(body);
    if (choice === undefined || !isObject(choice.message)) throw withoutMessage();
    this.#take(choice.message);
    this.#checkRefusal();
  }

  protected takeEvent(body: Json): string {
    const choice = this.#choice(body);
    const delta = choice?.delta ?? choice?.message;
    const piece = isObject(delta) ? this.#take(delta) : '';
    if (this.finishReason !== '') this.#checkRefusal();
    return piece;
  }

  // The first choice; usage stands beside it and, at a stream's end, alone.
  #choice(body: Json): Json | undefined {
    const { usage } = body;
    if (isObject(usage)) {
      this.promptTokens = countOf(usage.prompt_tokens) ?? this.promptTokens;
      this.completionTokens = countOf(usage.completion_tokens) ?? this.completionTokens;
    }
    const [choice] = objectsOf(body.choices);
    if (choice !== undefined) this.finish(choice.finish_reason, {}, []);
    return choice;
  }

  #take(message: Json): string {
    if (typeof message.refusal === 'string') this.#refusal += message.refusal.slice(0, 64);
    const { content } = message;
    if (typeof content === 'string') return this.grow(content);
    const parts = objectsOf(content).map(({ text }) => (typeof text === 'string' ? text : ''));
    return this.grow(parts.join(''));
  }

  // An empty reply is for the adapter to judge, unless the endpoint says that there will be none.
  #checkRefusal(): void {
    if (this.text !== '') return;
    if (this.#refusal !== '') throw refusedAnswer('refusal');
    if (this.finishReason === 'content_filter') throw refusedAnswer('content_filter');
  }
}
