import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, expect } from 'vitest';
import type { HttpAnswer, JsonObject } from './http.ts';
import { demand, readyProgram } from './programs.ts';
import { type Stack, startStack } from './stack.ts';

/** What a body of lines of JSON is sent with. */
export const ndjson = { headers: { 'content-type': 'application/x-ndjson' } };

/** What a body of CSV is sent with. */
export const csv = { headers: { 'content-type': 'text/csv' } };

/** The objects of an answer of lines. */
export function linesOf({ text }: HttpAnswer): JsonObject[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JsonObject);
}

/** So many lines of inputs for `q: str, n: int`. */
export function rows(count: number): string {
  return Array.from({ length: count }, (_, n) => `${JSON.stringify({ q: `question ${n}`, n })}\n`).join('');
}

/** A stack with the mock engine, and what tests of batches do over and over. */
export type Batching = {
  readonly stack: Stack;
  /** The slug of a program that answers at once, and of one that takes a minute. */
  readonly qa: string;
  readonly slow: string;
  /** Makes a program that the mock engine runs as told, READY; gives its slug. */
  program(mock: JsonObject): Promise<string>;
  upload(slug: string, body: string | Uint8Array, query?: string, type?: typeof ndjson): Promise<HttpAnswer>;
  /** Hands in so many items; gives the batch's id. */
  batch(slug: string, count: number, query?: string): Promise<string>;
  read(id: string): Promise<JsonObject>;
  /** The batch once it stands so. */
  reaches(id: string, status: string): Promise<JsonObject>;
};

/** Gives a test file one; it stands from before the first test to after the last one. */
export function useBatching(): Batching {
  const used = {
    async program(mock: JsonObject) {
      const made = await readyProgram(used.stack, {
        adapterType: 'mock',
        signatureSpec: 'q: str, n: int -> a: str',
        configuration: { metadata: { mock } },
      });
      return String(made.slug);
    },
    upload: (slug: string, body: string | Uint8Array, query = '', type = ndjson) =>
      used.stack.http.send('POST', `/v1/batches:upload?program=${slug}${query}`, body, type),
    batch: async (slug: string, count: number, query = '') =>
      String(demand(await used.upload(slug, rows(count), query), 201).id),
    read: async (id: string) => demand(await used.stack.http.get(`/v1/batches/${id}`), 200),
    reaches: (id: string, status: string) =>
      eventually(async () => {
        const found = await used.read(id);
        expect(found.status).toBe(`BATCH_STATUS_${status}`);
        return found;
      }, 20_000),
  } as { -readonly [Key in keyof Batching]: Batching[Key] };
  beforeAll(async () => {
    used.stack = await startStack({ engines: 'mock', env: { SIGNET_RATE_LIMIT: 'off' } });
    used.qa = await used.program({});
    used.slow = await used.program({ latency_ms: 60_000 });
  }, 60_000);
  afterAll(() => used.stack?.close());
  return used;
}
