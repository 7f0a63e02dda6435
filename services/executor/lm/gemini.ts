import { AppError } from '@signet/kit/error/app-error.ts';
import { ChatReply, countOf, isObject, type Json, objectsOf, withoutMessage } from './chat-reply.ts';
import { refusedAnswer } from './failure.ts';
import { geminiSchema } from './gemini-schema.ts';
import type { LmRequest } from './language-model.ts';
import { defined, OptionMap } from './option-map.ts';
import { outputSchema } from './output-schema.ts';
import type { Provider, WrittenRequest } from './provider.ts';
import { modelName, optionsOf } from './request-options.ts';
import { conversationOf } from './turns.ts';

const finishWords = { STOP: 'stop', MAX_TOKENS: 'length' };
// Why there is no answer, or only half of one, although the endpoint is well.
const refusals = ['SAFETY', 'RECITATION', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'SPII', 'IMAGE_SAFETY', 'LANGUAGE'];

/** Gemini's own generateContent form. */
export const gemini: Provider = {
  name: 'gemini',
  base: 'https://generativelanguage.googleapis.com',
  path: (basePath, model, stream) => {
    const versioned = /\/v1(?:beta\d*|alpha\d*)?$/.test(basePath) ? basePath : `${basePath}/v1beta`;
    const verb = stream ? 'streamGenerateContent?alt=sse' : 'generateContent';
    return `${versioned}/${modelPath(modelName(model))}:${verb}`;
  },
  credential: (apiKey): Record<string, string> => (apiKey === '' ? {} : { 'x-goog-api-key': apiKey }),
  write,
  createReply: (apiKey) => new GeminiReply(apiKey),
};

// `tunedModels/NAME` stands beside `models/NAME`.
function modelPath(name: string): string {
  const parts = (name.includes('/') ? name : `models/${name}`).split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new AppError('LM_NOT_CONFIGURED', "The language model's name cannot be part of an address");
  }
  return parts.map(encodeURIComponent).join('/');
}

function write(request: LmRequest): WrittenRequest {
  const { options, dropped } = optionsOf(request);
  const map = new OptionMap('gemini', options);
  const { system, turns } = conversationOf(request.messages);
  const generationConfig = defined({
    temperature: map.take('temperature'),
    topP: map.take('top_p'),
    topK: map.take('top_k'),
    maxOutputTokens: map.take('max_completion_tokens', 'max_tokens'),
    stopSequences: map.takeStops('stop'),
    seed: map.take('seed'),
    presencePenalty: map.take('presence_penalty'),
    frequencyPenalty: map.take('frequency_penalty'),
    thinkingConfig: map.take('thinking_config'),
  });
  writeFormat(generationConfig, map, request);
  const body = defined({
    systemInstruction: system.length === 0 ? undefined : { parts: partsOf(system) },
    contents: turns.map(({ role, texts }) => ({ role: role === 'user' ? 'user' : 'model', parts: partsOf(texts) })),
    generationConfig: Object.keys(generationConfig).length === 0 ? undefined : generationConfig,
    safetySettings: map.take('safety_settings'),
  });
  writeTools(body, map);
  map.refuse();
  return { body: JSON.stringify(body), dropped: [...dropped, ...map.names()] };
}

function partsOf(texts: readonly string[]): object[] {
  return texts.map((text) => ({ text }));
}

function writeFormat(config: Json, map: OptionMap, { endpoint, promptAdapter, outputFields }: LmRequest): void {
  let schema = map.takeFormat();
  const isForced = endpoint.constrained === 'json_schema' && promptAdapter === 'json' && outputFields.length > 0;
  if (isForced && typeof schema !== 'object') schema = outputSchema(outputFields);
  if (schema === undefined) return;
  config.responseMimeType = 'application/json';
  if (schema === 'object') return;
  const own = geminiSchema(schema);
  if (own !== undefined) config.responseSchema = own;
  // What its own form of schema cannot say, it takes in JSON Schema's words, of which it knows enough for pydantic's.
  else config.responseJsonSchema = schema;
}

function writeTools(body: Json, map: OptionMap): void {
  const tools = map.takeTools();
  const choice = map.takeToolChoice();
  map.take('parallel_tool_calls');
  if (tools === undefined) return;
  const declarations = tools.map(({ name, description, parameters }) => {
    const own = geminiSchema(parameters);
    return own === undefined
      ? { name, description, parametersJsonSchema: parameters }
      : { name, description, parameters: own };
  });
  body.tools = [{ functionDeclarations: declarations }];
  if (choice === undefined) return;
  const mode = { auto: 'AUTO', none: 'NONE', required: 'ANY' };
  body.toolConfig = {
    functionCallingConfig:
      typeof choice === 'object' ? { mode: 'ANY', allowedFunctionNames: [choice.name] } : { mode: mode[choice] },
  };
}

class GeminiReply extends ChatReply {
  protected takeWhole(body: Json): void {
    if (this.#take(body) === undefined) throw withoutMessage();
  }

  // Each event is an answer of its own that holds what is new; the last one says why it ends, and the connection's end does the rest.
  protected takeEvent(body: Json): string {
    return this.#take(body) ?? '';
  }

  #take(body: Json): string | undefined {
    this.#count(body.usageMetadata);
    const [candidate] = objectsOf(body.candidates);
    if (candidate === undefined) {
      const blocked = isObject(body.promptFeedback) ? body.promptFeedback.blockReason : undefined;
      if (typeof blocked === 'string') throw refusedAnswer(blocked.slice(0, 64));
      return undefined;
    }
    const parts = isObject(candidate.content) ? objectsOf(candidate.content.parts) : [];
    const piece = this.grow(parts.map(textOf).join(''));
    this.finish(candidate.finishReason, finishWords, refusals);
    if (this.finishReason === 'stop' && parts.some((part) => isObject(part.functionCall))) {
      this.finishReason = 'tool_calls';
    }
    return piece;
  }

  // What the model thought is paid for like what it said.
  #count(usage: unknown): void {
    if (!isObject(usage)) return;
    this.promptTokens = countOf(usage.promptTokenCount) ?? this.promptTokens;
    const said = countOf(usage.candidatesTokenCount);
    const thought = countOf(usage.thoughtsTokenCount);
    if (said !== undefined || thought !== undefined) this.completionTokens = (said ?? 0) + (thought ?? 0);
  }
}

function textOf({ text, thought }: Json): string {
  return typeof text === 'string' && thought !== true ? text : '';
}
