import { Agent, request } from 'undici';
import type { JsonObject } from './http.ts';

/** One event of a stream. */
export type SseEvent = { readonly event: string; readonly id: string; readonly data: JsonObject };

/** An open event stream. */
export type SseStream = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The events as they come; leaving the iteration closes the connection. */
  readonly events: AsyncIterable<SseEvent>;
  /** Comment lines that came so far, such as heartbeats. */
  readonly comments: readonly string[];
  /** What came instead of a stream. */
  text(): Promise<string>;
  close(): void;
};

/** What to open. */
export type SseRequest = {
  readonly url: string;
  readonly key: string;
  /** Given: POST with this JSON body; else GET. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Opens an event stream of the HTTP door. */
export async function openSse(input: SseRequest): Promise<SseStream> {
  const dispatcher = new Agent({ headersTimeout: 60_000, bodyTimeout: 120_000 });
  const abort = new AbortController();
  const response = await request(input.url, {
    dispatcher,
    signal: abort.signal,
    method: input.body === undefined ? 'GET' : 'POST',
    headers: {
      accept: 'text/event-stream',
      authorization: `Bearer ${input.key}`,
      ...(input.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...input.headers,
    },
    ...(input.body === undefined ? {} : { body: JSON.stringify(input.body) }),
  });
  const close = (): void => {
    // The body reports the abort as an error, which is what was wanted.
    response.body.on('error', () => undefined);
    abort.abort();
    void dispatcher.destroy();
  };
  const comments: string[] = [];
  const headers = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const);
  return {
    status: response.statusCode,
    headers: Object.fromEntries(headers),
    comments,
    events: readEvents(response.body, comments, close),
    text: () => response.body.text(),
    close,
  };
}

async function* readEvents(
  body: AsyncIterable<Buffer>,
  comments: string[],
  close: () => void,
): AsyncGenerator<SseEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of body) {
      rest += decoder.decode(chunk, { stream: true });
      const blocks = rest.split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = parseBlock(block, comments);
        if (event !== undefined) yield event;
      }
    }
  } finally {
    close();
  }
}

function parseBlock(block: string, comments: string[]): SseEvent | undefined {
  let event = 'message';
  let id = '';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    if (line.startsWith(':')) comments.push(line.slice(1).trim());
    else if (line.startsWith('event:')) event = line.slice(6).trim();
    else if (line.startsWith('id:')) id = line.slice(3).trim();
    else if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
  }
  return data.length === 0 ? undefined : { event, id, data: JSON.parse(data.join('\n')) as JsonObject };
}
