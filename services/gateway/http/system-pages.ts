import type { ServerResponse } from 'node:http';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { Telemetry } from '@signet/kit/telemetry/telemetry.ts';
import { type AdmitDeps, admitAnonymous } from '../admission/admit.ts';
import { rateHeaders } from '../admission/rate-limit.ts';
import type { OwnerHealth } from '../grpc/owner-health.ts';
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
  /** A page that lists the routes, as HTML. */
  readonly docs: () => string;
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
    '/docs': { limited: true, make: () => ({ status: 200, type: 'text/html; charset=utf-8', body: deps.docs() }) },
  };
  return {
    has: (path) => Object.hasOwn(pages, path),
    serve(exchange, response) {
      const { request } = exchange;
      const page = pages[exchange.path]!;
      const allow = 'GET, HEAD, OPTIONS';
      if (request.method === 'OPTIONS') {
        response.writeHead(204, { ...exchange.answerHeaders(), allow }).end();
        return;
      }
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        throw new AppError('METHOD_NOT_ALLOWED', `This path takes ${allow}`, { metadata: { allow } });
      }
      if (page.limited) {
        const ip = request.socket.remoteAddress ?? '';
        const rate = admitAnonymous(deps.admission, ip, exchange.path);
        if (rate !== undefined) Object.assign(exchange.headers, rateHeaders(rate));
      }
      // The page's own style is inline; scripts stay forbidden.
      if (exchange.path === '/docs') {
        exchange.headers['content-security-policy'] =
          "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
      }
      Promise.resolve(page.make()).then(
        ({ status, type, body }) => exchange.send(response, status, type, body),
        (error: unknown) => refuse(exchange, response, error),
      );
    },
  };
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
