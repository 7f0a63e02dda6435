import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { Finish, StrictForm, StrictRequest } from './strict-forms.ts';

/** What a strict endpoint does with one request that has the right form. */
export type StrictAnswer =
  | { kind: 'text'; text: string; finish?: Finish }
  /** A stream of pieces; without `finish` it ends in the middle. */
  | { kind: 'pieces'; pieces: string[]; finish?: Finish }
  /** Pieces, and then that it has too much to do. */
  | { kind: 'overloaded'; pieces: string[] }
  | { kind: 'status'; status: number; message: string; headers?: Record<string, string> }
  | { kind: 'body'; body: unknown }
  | { kind: 'silence' };

/** An endpoint that speaks one provider's form and refuses every other. */
export type StrictLm = {
  /** Without a path. */
  readonly origin: string;
  readonly requests: StrictRequest[];
  enqueue(...answers: StrictAnswer[]): void;
  close(): Promise<void>;
};

/** Starts an endpoint on the loopback address; without anything in line it answers `usual`. */
export async function startStrictLm(form: StrictForm, usual: string): Promise<StrictLm> {
  const requests: StrictRequest[] = [];
  const line: StrictAnswer[] = [];
  const server = createServer(async (incoming, response) => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const body = JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>;
    const request = { path: incoming.url ?? '', headers: incoming.headers, body, closedByClient: false };
    requests.push(request);
    response.on('close', () => {
      request.closedByClient = !response.writableFinished;
    });
    const wrong = form.check(request);
    if (wrong !== undefined) send(response, 400, form.error(400, wrong));
    else answer(form, request, line.shift() ?? { kind: 'text', text: usual }, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    requests,
    enqueue: (...answers) => void line.push(...answers),
    async close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function answer(form: StrictForm, request: StrictRequest, is: StrictAnswer, response: ServerResponse): void {
  if (is.kind === 'silence') return;
  if (is.kind === 'status') {
    send(response, is.status, form.error(is.status, is.message), is.headers);
  } else if (is.kind === 'body') {
    send(response, 200, is.body);
  } else if (form.isStream(request)) {
    stream(form, is, response);
  } else {
    const text = is.kind === 'text' ? is.text : is.pieces.join('');
    send(response, 200, form.whole(text, is.kind === 'overloaded' ? 'stop' : (is.finish ?? 'stop')));
  }
}

type Streamed = Extract<StrictAnswer, { kind: 'text' | 'pieces' | 'overloaded' }>;

function stream(form: StrictForm, is: Streamed, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  if (is.kind === 'overloaded') {
    response.end([...form.events(is.pieces, undefined), form.overloaded()].join(''));
  } else {
    const pieces = is.kind === 'text' ? (is.text.match(/[\s\S]{1,8}/g) ?? ['']) : is.pieces;
    response.end(form.events(pieces, is.kind === 'text' ? (is.finish ?? 'stop') : is.finish).join(''));
  }
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}
