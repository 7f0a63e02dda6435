import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { answerPrompt, type ChatMessage } from './scripted-answer.ts';

/** What the endpoint does with one request. Delays come before the first byte, gaps between chunks. */
export type Behaviour =
  /** Answers the DSPy prompt with typed values of the asked output fields. */
  | { kind: 'answer'; delayMs?: number; gapMs?: number }
  /** Answers with this text, cut into chunks when a stream was asked for. */
  | { kind: 'text'; text: string; delayMs?: number; gapMs?: number; finishReason?: string }
  /** Answers with these chunks of text; with `breakAfter` the socket is torn down after so many of them. */
  | { kind: 'chunks'; chunks: string[]; delayMs?: number; gapMs?: number; breakAfter?: number }
  /** Answers with a status and an OpenAI error body, or the body given. */
  | { kind: 'status'; status: number; message?: string; body?: string; retryAfter?: string; delayMs?: number }
  /** Answers 200 with these very bytes, written one after another, and then ends, hangs, or tears the socket down. */
  | {
      kind: 'raw';
      writes: (string | Buffer)[];
      contentType?: string;
      gapMs?: number;
      ending?: 'end' | 'hang' | 'break';
    }
  /** Takes the request and never answers. */
  | { kind: 'silence' }
  /** Closes the socket without an answer. */
  | { kind: 'hangup' };

/** One request as the endpoint saw it. */
export interface SeenRequest {
  path: string;
  headers: IncomingHttpHeaders;
  body: { model?: string; stream?: boolean; messages?: ChatMessage[]; [option: string]: unknown };
  /** True once the client closed the connection before the answer was complete. */
  closedByClient: boolean;
}

/** How to script an endpoint. */
export interface ScriptedLmOptions {
  /** Used when the queue is empty; default `{kind: 'answer'}`. */
  behaviour?: Behaviour | ((request: SeenRequest, call: number) => Behaviour);
  /** 0 (default) lets the system choose. */
  port?: number;
  /** The address to listen on; default 127.0.0.1. */
  host?: string;
  /** Characters in one chunk of a stream; default 8. */
  chunkChars?: number;
  /** False keeps no requests, for benchmarks; default true, at most 10,000. */
  record?: boolean;
}

/** A scripted OpenAI chat-completions endpoint on the loopback address. */
export interface ScriptedLm {
  /** Ends in `/v1`: what an operator would put into the API base. */
  readonly url: string;
  /** How many requests have come in since the last reset. */
  readonly calls: number;
  readonly requests: SeenRequest[];
  /** The next requests, one each, do this before the default does again. */
  enqueue(...behaviours: Behaviour[]): void;
  /** Forgets the queue, the requests and the count. */
  reset(): void;
  /** Tears down every connection and stops. */
  close(): Promise<void>;
}

/** Starts an endpoint that does as told; resolves when it listens. */
export async function startScriptedLm(options: ScriptedLmOptions = {}): Promise<ScriptedLm> {
  const state = { calls: 0, requests: [] as SeenRequest[], queue: [] as Behaviour[] };
  const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, (request, response) => {
    receive(request, (text) => {
      state.calls += 1;
      const seen = see(request, text);
      if (options.record !== false && state.requests.length < 10_000) state.requests.push(seen);
      response.on('close', () => {
        seen.closedByClient = !response.writableFinished && !tornDown.has(response);
      });
      const otherwise = options.behaviour ?? { kind: 'answer' };
      const next = state.queue.shift() ?? (typeof otherwise === 'function' ? otherwise(seen, state.calls) : otherwise);
      behave(next, seen, response, options.chunkChars ?? 8).catch(() => response.destroy());
    });
  });
  server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}/v1`,
    get calls() {
      return state.calls;
    },
    get requests() {
      return state.requests;
    },
    enqueue: (...behaviours) => void state.queue.push(...behaviours),
    reset: () => void Object.assign(state, { calls: 0, requests: [], queue: [] }),
    close: () => stop(server),
  };
}

const tornDown = new WeakSet<ServerResponse>();

async function stop(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

function receive(request: IncomingMessage, done: (text: string) => void): void {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => done(parts.length === 1 ? parts[0]!.toString() : Buffer.concat(parts).toString()));
}

function see(request: IncomingMessage, text: string): SeenRequest {
  let body: SeenRequest['body'] = {};
  try {
    body = JSON.parse(text);
  } catch {}
  return { path: request.url ?? '', headers: request.headers, body, closedByClient: false };
}

async function behave(is: Behaviour, seen: SeenRequest, response: ServerResponse, chunkChars: number): Promise<void> {
  if ('delayMs' in is && is.delayMs) await delay(is.delayMs);
  if (response.destroyed) return;
  switch (is.kind) {
    case 'silence':
      return;
    case 'hangup':
      return tearDown(response);
    case 'status':
      return sendStatus(is, response);
    case 'raw':
      return sendRaw(is, response);
    case 'chunks':
      return seen.body.stream === true
        ? sendStream(is.chunks, is, seen, response)
        : sendWhole(is.chunks.join(''), 'stop', seen, response);
    default: {
      const text = is.kind === 'text' ? is.text : answerPrompt(seen.body.messages ?? []);
      const finish = is.kind === 'text' ? is.finishReason : undefined;
      return seen.body.stream === true
        ? sendStream(cut(text, chunkChars), { ...is, finish }, seen, response)
        : sendWhole(text, finish ?? 'stop', seen, response);
    }
  }
}

function tearDown(response: ServerResponse): void {
  tornDown.add(response);
  response.destroy();
}

function cut(text: string, size: number): string[] {
  const chunks: string[] = [];
  // By code point, so that no chunk carries half a character.
  const points = [...text];
  for (let at = 0; at < points.length; at += size) chunks.push(points.slice(at, at + size).join(''));
  return chunks;
}

function usageOf(seen: SeenRequest, chars: number): object {
  const prompt = JSON.stringify(seen.body.messages ?? []).length >> 2;
  return { prompt_tokens: prompt, completion_tokens: (chars >> 2) + 1, total_tokens: prompt + (chars >> 2) + 1 };
}

function sendWhole(text: string, finish: string, seen: SeenRequest, response: ServerResponse): void {
  const choice = { index: 0, message: { role: 'assistant', content: text }, finish_reason: finish };
  const body = { id: 'c', object: 'chat.completion', model: seen.body.model, choices: [choice] };
  const bytes = Buffer.from(JSON.stringify({ ...body, usage: usageOf(seen, text.length) }));
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length }).end(bytes);
}

interface StreamShape {
  gapMs?: number | undefined;
  breakAfter?: number | undefined;
  finish?: string | undefined;
}

async function sendStream(
  chunks: string[],
  shape: StreamShape,
  seen: SeenRequest,
  response: ServerResponse,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const event = (choices: object[], usage?: object): string =>
    `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: seen.body.model, choices, usage })}\n\n`;
  for (const [at, content] of chunks.entries()) {
    if (at === shape.breakAfter) return void response.write(': breaking\n', () => tearDown(response));
    if (at > 0 && shape.gapMs) await delay(shape.gapMs);
    if (response.destroyed) return;
    response.write(
      event([{ index: 0, delta: at === 0 ? { role: 'assistant', content } : { content }, finish_reason: null }]),
    );
  }
  if (shape.breakAfter !== undefined && shape.breakAfter >= chunks.length) return tearDown(response);
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const options = seen.body.stream_options as { include_usage?: boolean } | undefined;
  const last = event([{ index: 0, delta: {}, finish_reason: shape.finish ?? 'stop' }]);
  response.end(`${last}${options?.include_usage === true ? event([], usageOf(seen, length)) : ''}data: [DONE]\n\n`);
}

function sendStatus(is: Extract<Behaviour, { kind: 'status' }>, response: ServerResponse): void {
  const body =
    is.body ?? JSON.stringify({ error: { message: is.message ?? `scripted ${is.status}`, type: 'scripted' } });
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (is.retryAfter !== undefined) headers['retry-after'] = is.retryAfter;
  response.writeHead(is.status, headers).end(body);
}

async function sendRaw(is: Extract<Behaviour, { kind: 'raw' }>, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': is.contentType ?? 'application/json' });
  response.flushHeaders();
  for (const [at, bytes] of is.writes.entries()) {
    if (at > 0) await delay(is.gapMs ?? 0);
    if (response.destroyed) return;
    if (!response.write(bytes)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
  }
  if (is.ending === 'break') return void response.write('', () => tearDown(response));
  if (is.ending !== 'hang') response.end();
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string' },
      host: { type: 'string' },
      'delay-ms': { type: 'string' },
      'gap-ms': { type: 'string' },
    },
  });
  const behaviour: Behaviour = {
    kind: 'answer',
    delayMs: Number(values['delay-ms'] ?? 0),
    gapMs: Number(values['gap-ms'] ?? 0),
  };
  const lm = await startScriptedLm({ behaviour, port: Number(values.port ?? 0), host: values.host, record: false });
  process.stdout.write(`${JSON.stringify({ url: lm.url, pid: process.pid })}\n`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void lm.close());
}
