import type { ServerResponse } from 'node:http';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { Telemetry } from '@signet/kit/telemetry/telemetry.ts';
import { type AdmitDeps, admitAnonymous } from '../admission/admit.ts';
import { rateHeaders } from '../admission/rate-limit.ts';
import type { OwnerHealth } from '../grpc/owner-health.ts';
import { type DocsFile, docsPolicy } from './docs/docs-files.ts';
import type { HttpExchange } from './exchange.ts';
import { refuse } from './refusal.ts';

/** The pages that need no key: what machines ask of a process, and the description of the API. */
export type SystemPages = {
  has(path: string): boolean;
  /** Answers; throws METHOD_NOT_ALLOWED and RATE_LIMITED. */
  serve(exchange: HttpExchange, response: ServerResponse): void;
};

/** What the pages are made of. */
export type SystemPagesDeps = {
  readonly telemetry: Telemetry;
  readonly health: OwnerHealth;
  readonly admission: AdmitDeps;
  readonly draining: () => boolean;
  /** The OpenAPI document, as JSON text. */
  readonly openapi: () => string;
  /** The files of the page that shows the API, by path. */
  readonly docs: ReadonlyMap<string, () => DocsFile>;
};

type Page = { readonly status: number; readonly type: string; readonly body: string };

const json = 'application/json; charset=utf-8';

/** Makes the pages. Those that probes ask for are not limited; the documents are, by address. */
export function createSystemPages(deps: SystemPagesDeps): SystemPages {
  const pages: Readonly<Record<string, { limited: boolean; make(): Page | Promise<Page> }>> = {
    '/livez': { limited: false, make: () => ({ status: 200, type: json, body: '{"status":"ok"}' }) },
    '/readyz': { limited: false, make: () => readiness(deps) },
    '/metrics': {
      limited: false,
      make: async () => ({
        status: 200,
        type: 'text/plain; version=0.0.4; charset=utf-8',
        body: await deps.telemetry.metricsText(),
      }),
    },
    '/openapi.json': { limited: true, make: () => ({ status: 200, type: json, body: deps.openapi() }) },
  };
  return {
    has: (path) => Object.hasOwn(pages, path) || deps.docs.has(path),
    serve(exchange, response) {
      const { request } = exchange;
      const file = deps.docs.get(exchange.path);
      const allow = 'GET, HEAD, OPTIONS';
      if (request.method === 'OPTIONS') {
        response.writeHead(204, { ...exchange.answerHeaders(), allow }).end();
        return;
      }
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        throw new AppError('METHOD_NOT_ALLOWED', `This path takes ${allow}`, { metadata: { allow } });
      }
      if (file !== undefined || pages[exchange.path]!.limited) {
        const ip = request.socket.remoteAddress ?? '';
        const rate = admitAnonymous(deps.admission, ip, exchange.path);
        if (rate !== undefined) Object.assign(exchange.headers, rateHeaders(rate));
      }
      if (file !== undefined) {
        serveFile(exchange, response, file());
        return;
      }
      Promise.resolve(pages[exchange.path]!.make()).then(
        ({ status, type, body }) => exchange.send(response, status, type, body),
        (error: unknown) => refuse(exchange, response, error),
      );
    },
  };
}

function serveFile(exchange: HttpExchange, response: ServerResponse, file: DocsFile): void {
  const { headers } = exchange;
  headers['content-security-policy'] = docsPolicy;
  headers['cache-control'] = 'no-cache';
  headers.vary = 'accept-encoding';
  const zipped = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\b)/.test(String(exchange.request.headers['accept-encoding'] ?? ''));
  if (zipped) headers['content-encoding'] = 'gzip';
  exchange.send(response, 200, file.type, zipped ? file.gzipped : file.body);
}

async function readiness(deps: SystemPagesDeps): Promise<Page> {
  const owners = await deps.health.check();
  const ready = Object.values(owners).every(Boolean) && !deps.draining();
  const words = Object.fromEntries(
    Object.entries(owners).map(([owner, serving]) => [owner, serving ? 'ok' : 'not serving']),
  );
  const status = deps.draining() ? 'draining' : ready ? 'ok' : 'not ready';
  return { status: ready ? 200 : 503, type: json, body: JSON.stringify({ status, owners: words }) };
}
