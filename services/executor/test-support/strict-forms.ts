import type { IncomingHttpHeaders } from 'node:http';

/** One request as a strict endpoint saw it. */
export type StrictRequest = {
  path: string;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
  closedByClient: boolean;
};

/** How an answer ends, in nobody's words. */
export type Finish = 'stop' | 'length' | 'refused' | 'tool';

/** A provider's form as its documents have it: what it takes, and how it answers. */
export type StrictForm = {
  readonly model: string;
  /** What is wrong with a request; undefined if nothing is. */
  check(request: StrictRequest): string | undefined;
  isStream(request: StrictRequest): boolean;
  whole(text: string, finish: Finish): unknown;
  /** Events as they go over the wire; `finish` undefined means that the stream ends without saying why. */
  events(pieces: readonly string[], finish: Finish | undefined): string[];
  error(status: number, message: string): unknown;
  /** An event that says that the endpoint has too much to do. */
  overloaded(): string;
};

const object = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function unknownKeys(body: Record<string, unknown>, known: readonly string[]): string | undefined {
  const extra = Object.keys(body).filter((key) => !known.includes(key));
  return extra.length === 0 ? undefined : `Extra inputs are not permitted: ${extra.join(', ')}`;
}

const data = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const named = (value: { type: string }): string => `event: ${value.type}\n${data(value)}`;

const openAiKeys =
  `model messages temperature top_p max_tokens max_completion_tokens stop n seed user stream stream_options response_format tools
  tool_choice presence_penalty frequency_penalty logprobs`.split(/\s+/);
const openAiFinish = { stop: 'stop', length: 'length', refused: 'content_filter', tool: 'tool_calls' };
const openai: StrictForm = {
  model: 'openai/gpt-x',
  check: ({ path, headers, body }) => {
    if (path !== '/v1/chat/completions') return `no such path ${path}`;
    if (headers.authorization !== 'Bearer key-0123456789') return 'no key';
    if (body.model !== 'gpt-x') return 'no such model';
    return unknownKeys(body, openAiKeys);
  },
  isStream: ({ body }) => body.stream === true,
  whole: (text, finish) => ({
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: openAiFinish[finish] }],
    usage: { prompt_tokens: 11, completion_tokens: 7 },
  }),
  events: (pieces, finish) => [
    ...pieces.map((content) => data({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })),
    ...(finish === undefined
      ? []
      : [
          data({ choices: [{ index: 0, delta: {}, finish_reason: openAiFinish[finish] }] }),
          data({ choices: [], usage: { prompt_tokens: 11, completion_tokens: 7 } }),
          'data: [DONE]\n\n',
        ]),
  ],
  error: (status, message) => ({ error: { message, type: 'x', code: status === 429 ? 'rate_limit_exceeded' : null } }),
  overloaded: () => data({ error: { message: 'Overloaded', type: 'server_error', code: null } }),
};

const anthropicKeys =
  `model max_tokens system messages temperature top_p top_k stop_sequences stream metadata tools tool_choice output_config
  thinking`.split(/\s+/);
const anthropicFinish = { stop: 'end_turn', length: 'max_tokens', refused: 'refusal', tool: 'tool_use' };
const anthropic: StrictForm = {
  model: 'anthropic/claude-x',
  check: ({ path, headers, body }) => {
    if (path !== '/v1/messages') return `no such path ${path}`;
    if (headers['x-api-key'] !== 'key-0123456789' || headers.authorization !== undefined)
      return 'x-api-key header is required';
    if (headers['anthropic-version'] !== '2023-06-01') return 'anthropic-version: header is required';
    if (typeof body.max_tokens !== 'number') return 'max_tokens: Field required';
    return unknownKeys(body, anthropicKeys) ?? checkTurns(body.messages, 'content', ['user', 'assistant']);
  },
  isStream: ({ body }) => body.stream === true,
  whole: (text, finish) => ({
    type: 'message',
    role: 'assistant',
    content: [
      { type: 'thinking', thinking: 'hm' },
      { type: 'text', text },
      ...(finish === 'tool' ? [{ type: 'tool_use', id: 't', name: 'f', input: {} }] : []),
    ],
    stop_reason: anthropicFinish[finish],
    usage: { input_tokens: 6, cache_read_input_tokens: 5, output_tokens: 7 },
  }),
  events: (pieces, finish) => [
    named({
      type: 'message_start',
      ...{ message: { type: 'message', usage: { input_tokens: 6, cache_read_input_tokens: 5, output_tokens: 1 } } },
    }),
    named({ type: 'content_block_start', ...{ index: 0, content_block: { type: 'text', text: '' } } }),
    named({ type: 'ping' }),
    ...pieces.map((text) =>
      named({ type: 'content_block_delta', ...{ index: 0, delta: { type: 'text_delta', text } } }),
    ),
    ...(finish === undefined
      ? []
      : [
          named({ type: 'content_block_stop', ...{ index: 0 } }),
          named({
            type: 'message_delta',
            ...{ delta: { stop_reason: anthropicFinish[finish] }, usage: { output_tokens: 7 } },
          }),
          named({ type: 'message_stop' }),
        ]),
  ],
  error: (status, message) => ({ type: 'error', error: { type: status === 429 ? 'rate_limit_error' : 'x', message } }),
  overloaded: () => named({ type: 'error', ...{ error: { type: 'overloaded_error', message: 'Overloaded' } } }),
};

function checkTurns(turns: unknown, textsKey: string, roles: readonly [string, string]): string | undefined {
  if (!Array.isArray(turns) || turns.length === 0) return 'messages: at least one message is required';
  for (const [at, turn] of turns.entries()) {
    if (turn.role !== roles[at % 2]) return `messages.${at}: roles must alternate, beginning with ${roles[0]}`;
    const texts = turn[textsKey];
    if (!Array.isArray(texts) || texts.some((part) => !object(part) || part.text === ''))
      return `messages.${at}: no text`;
  }
  return undefined;
}

const geminiKeys = ['systemInstruction', 'contents', 'generationConfig', 'safetySettings', 'tools', 'toolConfig'];
const configKeys =
  `temperature topP topK maxOutputTokens stopSequences seed presencePenalty frequencyPenalty responseMimeType responseSchema
  responseJsonSchema thinkingConfig`.split(/\s+/);
const geminiFinish = { stop: 'STOP', length: 'MAX_TOKENS', refused: 'SAFETY', tool: 'STOP' };
const usageMetadata = { promptTokenCount: 11, candidatesTokenCount: 4, thoughtsTokenCount: 3, totalTokenCount: 18 };
const gemini: StrictForm = {
  model: 'gemini/gemini-x',
  check: ({ path, headers, body }) => {
    const known = ['/v1beta/models/gemini-x:generateContent', '/v1beta/models/gemini-x:streamGenerateContent?alt=sse'];
    if (!known.includes(path)) return `no such path ${path}`;
    if (headers['x-goog-api-key'] !== 'key-0123456789' || headers.authorization !== undefined) return 'no key';
    const config = object(body.generationConfig) ? body.generationConfig : {};
    return (
      unknownKeys(body, geminiKeys) ??
      unknownKeys(config, configKeys) ??
      checkTurns(body.contents, 'parts', ['user', 'model'])
    );
  },
  isStream: ({ path }) => path.includes(':stream'),
  whole: (text, finish) => ({
    candidates: [
      {
        content: {
          role: 'model',
          parts: [
            { text: 'hm', thought: true },
            { text },
            ...(finish === 'tool' ? [{ functionCall: { name: 'f', args: {} } }] : []),
          ],
        },
        finishReason: geminiFinish[finish],
      },
    ],
    usageMetadata,
  }),
  events: (pieces, finish) => [
    ...pieces.map((text) => data({ candidates: [{ content: { role: 'model', parts: [{ text }] } }] })),
    ...(finish === undefined
      ? []
      : [
          data({
            candidates: [{ content: { role: 'model', parts: [{ text: '' }] }, finishReason: geminiFinish[finish] }],
            usageMetadata,
          }),
        ]),
  ],
  error: (status, message) => [{ error: { code: status, message, status: 'X' } }],
  overloaded: () => data({ error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }),
};

/** The forms of the three providers. */
export const strictForms = { openai, anthropic, gemini };
