/** What a flood is to be: POSTs of one body to one path, by so many callers after one another, or so many a second whatever comes back. */
export type FloodJob = {
  /** `http://127.0.0.1:…`. */
  readonly address: string;
  readonly path: string;
  readonly key: string;
  readonly body: string;
  readonly seconds: number;
  readonly pace: { readonly callers: number } | { readonly perSecond: number };
};

/** What became of it. Times are milliseconds from sending to the whole answer. */
export type FloodReport = {
  /** Calls by what they came to: a status, or `lost` where no answer came. */
  readonly counts: Readonly<Record<string, number>>;
  /** Calls that were to be made and were not, since this process had too many under way. */
  readonly unsent: number;
  /** Answers 200 a second, those that came after the last call was sent left out. */
  readonly goodPerSecond: number;
  /** Calls sent a second. */
  readonly sentPerSecond: number;
  /** Cores that the flood itself took. */
  readonly cores: number;
  readonly good: { readonly p50Ms: number; readonly p99Ms: number };
  readonly refused: { readonly p50Ms: number; readonly p99Ms: number };
  /** Refusals (429, 503) that did not say when to come back. */
  readonly withoutRetry: number;
};
