/** What a load generator is to do: keep so many calls in flight for so long against one door. */
export type LoadJob = {
  /** `json`: one answer over HTTP · `sse`: one event stream · `unary` and `stream`: the same over gRPC. */
  readonly kind: 'json' | 'sse' | 'unary' | 'stream';
  /** `http://127.0.0.1:…` of an HTTP door, `127.0.0.1:…` of a gRPC one. */
  readonly address: string;
  /** The path of the URL, or of the gRPC method. */
  readonly path: string;
  /** The request's bytes, base64. */
  readonly body: string;
  /** Headers over HTTP, metadata over gRPC. */
  readonly headers: Readonly<Record<string, string>>;
  readonly inFlight: number;
  readonly seconds: number;
  /** No more calls than this are begun. */
  readonly callMax: number;
};

/** How one call went. */
export type CallOutcome = {
  /** Milliseconds until the first text of a field came; streams only. */
  readonly firstTokenMs?: number;
  /** Events of text that came; streams only. */
  readonly tokens?: number;
};

/** What a load generator measured. Times are milliseconds. */
export type LoadReport = {
  readonly calls: number;
  readonly failures: number;
  /** What the first failure said. */
  readonly failure: string | undefined;
  /** From the first call's beginning to the last one's end. */
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly firstTokenP50Ms: number | undefined;
  readonly firstTokenP99Ms: number | undefined;
  readonly tokensPerCall: number | undefined;
};

/** One way to a door: `call` throws what went wrong, on a bad answer too. */
export type Caller = { call(): Promise<CallOutcome>; close(): Promise<void> };
