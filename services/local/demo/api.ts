import { LaunchError } from '../launch-error.ts';

/** A JSON object as it came. */
export type JsonObject = Record<string, unknown>;

/** One event of an event stream. */
export type StreamEvent = { event: string; data: JsonObject };

/** The API as the demo uses it: plain HTTP with one key. */
export type Api = {
  get(path: string): Promise<JsonObject>;
  post(path: string, body: object): Promise<JsonObject>;
  /** The events of a stream as they arrive. */
  stream(path: string, body: object): AsyncGenerator<StreamEvent>;
};

/** Makes the client. Its calls throw a LaunchError with the problem's own words when the answer is not a 2xx. */
export function createApi(base: string, key: string, stop: AbortSignal): Api {
  const call = async (method: string, path: string, body?: object): Promise<Response> => {
    const headers = { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) };
    const response = await fetch(`${base}${path}`, {
      method,
      headers,
      signal: stop,
      ...(body && { body: JSON.stringify(body) }),
    });
    if (response.ok) return response;
    throw new LaunchError(`${method} ${path} answered ${response.status}: ${(await response.text()).slice(0, 1_000)}`);
  };
  return {
    get: async (path) => (await (await call('GET', path)).json()) as JsonObject,
    post: async (path, body) => (await (await call('POST', path, body)).json()) as JsonObject,
    stream: async function* (path, body) {
      const response = await call('POST', path, body);
      if (response.body) yield* readEvents(response.body);
    },
  };
}

/** Reads server-sent events out of bytes, however they are cut. Comments (heartbeats) are skipped. */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const event = readEvent(block);
      if (event) yield event;
    }
  }
}

function readEvent(block: string): StreamEvent | undefined {
  const fields = block.split(/\r?\n/).map((line) => /^(event|data): ?(.*)$/.exec(line));
  const data = fields.filter((field) => field?.[1] === 'data').map((field) => field?.[2] ?? '');
  if (data.length === 0) return undefined;
  const event = fields.findLast((field) => field?.[1] === 'event')?.[2] ?? 'message';
  return { event, data: JSON.parse(data.join('\n')) as JsonObject };
}
