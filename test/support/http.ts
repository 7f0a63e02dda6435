import { Agent, request } from 'undici';

/** A JSON value as it came; numbers are doubles (see `text` for every digit). */
export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

/** A JSON object whose members a test looks at. */
export type JsonObject = { [key: string]: JsonValue };

/** One answer over HTTP. */
export type HttpAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The body as it came. */
  readonly text: string;
  /** The body as JSON; an empty object if it is not a JSON object. */
  readonly body: JsonObject;
};

/** What a request may carry besides its body. */
export type HttpOptions = {
  /** The API key; empty sends none. Default: the stack's admin key. */
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
};

/** A small client of the HTTP door. A body that is a string or bytes is sent as it is, anything else as JSON. */
export type HttpClient = {
  get(path: string, options?: HttpOptions): Promise<HttpAnswer>;
  post(path: string, body?: unknown, options?: HttpOptions): Promise<HttpAnswer>;
  patch(path: string, body?: unknown, options?: HttpOptions): Promise<HttpAnswer>;
  delete(path: string, options?: HttpOptions): Promise<HttpAnswer>;
  send(method: string, path: string, body: unknown, options?: HttpOptions): Promise<HttpAnswer>;
  close(): Promise<void>;
};

/** Opens a client for a door such as `127.0.0.1:8080`. */
export function createHttpClient(address: string, adminKey: string): HttpClient {
  const dispatcher = new Agent({ connections: 256, headersTimeout: 120_000, bodyTimeout: 120_000 });
  const send: HttpClient['send'] = async (method, path, body, options = {}) => {
    const key = options.key ?? adminKey;
    const response = await request(`http://${address}${path}`, {
      dispatcher,
      method: method as 'GET',
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
        ...options.headers,
      },
      ...(body === undefined ? {} : { body: isRaw(body) ? body : JSON.stringify(body) }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const text = await response.body.text();
    const headers = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const);
    return { status: response.statusCode, headers: Object.fromEntries(headers), text, body: parseObject(text) };
  };
  return {
    send,
    get: (path, options) => send('GET', path, undefined, options),
    post: (path, body = {}, options) => send('POST', path, body, options),
    patch: (path, body = {}, options) => send('PATCH', path, body, options),
    delete: (path, options) => send('DELETE', path, undefined, options),
    close: () => dispatcher.destroy(),
  };
}

function isRaw(body: unknown): body is string | Buffer {
  return typeof body === 'string' || Buffer.isBuffer(body);
}

function parseObject(text: string): JsonObject {
  try {
    const value = JSON.parse(text) as JsonValue;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}
