import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { answerPrompt } from './scripted-answer.ts';

const BODY_MAX_BYTES = 16 * 1024 * 1024;

/** A running scripted model. */
export type ScriptedModel = { address: string; close(): Promise<void> };

/** Serves OpenAI's chat form on 127.0.0.1, streams included, with answers out of a script that say so. Stands in where no model can run. */
export async function startScriptedModel(port = 0): Promise<ScriptedModel> {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => {
      if (!response.headersSent) sendError(response, 400, 'the request is not a chat completion');
      else response.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const bound = server.address();
  const address = `127.0.0.1:${typeof bound === 'object' && bound ? bound.port : port}`;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { address, close };
}

type ChatRequest = { model: string; prompt: string; stream: boolean; includeUsage: boolean };

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'GET' && request.url === '/v1/models') {
    return sendJson(response, 200, { object: 'list', data: [{ id: 'scripted', object: 'model' }] });
  }
  if (request.method !== 'POST' || request.url !== '/v1/chat/completions')
    return sendError(response, 404, 'no such path');
  const chat = readChat(await readBody(request));
  if (!chat) return sendError(response, 400, '`messages` must be a list of chat messages');
  const text = answerPrompt(chat.prompt);
  const usage = count(chat.prompt, text);
  const head = { id: 'chatcmpl-scripted', created: Math.floor(Date.now() / 1000), model: chat.model };
  if (!chat.stream) {
    const choice = { index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' };
    return sendJson(response, 200, { ...head, object: 'chat.completion', choices: [choice], usage });
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  const send = (fields: object) =>
    response.write(`data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', ...fields })}\n\n`);
  for (const piece of text.match(/\s*\S+\s*/g) ?? [])
    send({ choices: [{ index: 0, delta: { content: piece }, finish_reason: null }] });
  send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  if (chat.includeUsage) send({ choices: [], usage });
  response.end('data: [DONE]\n\n');
}

function readChat(body: string): ChatRequest | undefined {
  const parsed: unknown = JSON.parse(body);
  if (typeof parsed !== 'object' || parsed === null || !('messages' in parsed) || !Array.isArray(parsed.messages))
    return undefined;
  const {
    messages,
    model,
    stream,
    stream_options: streamOptions,
  } = parsed as Record<string, unknown> & { messages: unknown[] };
  const includeUsage = typeof streamOptions === 'object' && streamOptions !== null && 'include_usage' in streamOptions;
  return {
    model: typeof model === 'string' ? model : 'scripted',
    prompt: textOf(messages.at(-1)),
    stream: stream === true,
    includeUsage: includeUsage && streamOptions.include_usage === true,
  };
}

function textOf(message: unknown): string {
  if (typeof message !== 'object' || message === null || !('content' in message)) return '';
  if (typeof message.content === 'string') return message.content;
  if (!Array.isArray(message.content)) return '';
  return message.content
    .map((part: unknown) => (typeof part === 'object' && part && 'text' in part ? String(part.text) : ''))
    .join('');
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > BODY_MAX_BYTES) throw new Error('the body is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

// Words stand in for tokens.
function count(prompt: string, text: string): Record<string, number> {
  const words = (value: string) => value.split(/\s+/).filter(Boolean).length;
  return { prompt_tokens: words(prompt), completion_tokens: words(text), total_tokens: words(prompt) + words(text) };
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function sendError(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, { error: { message, type: 'invalid_request_error', code: status } });
}
