import { createServer, type RequestListener, type Server } from 'node:http';
import { type Address, formatAddress } from '@signet/kit/config/env.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { messageLimitBytes } from '@signet/kit/grpc/deserialize.ts';
import { createHttpDurations, type HttpDurations } from '@signet/kit/telemetry/call-durations.ts';
import Fastify, { type FastifyHttpOptions, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Contract } from '../contract/public-methods.ts';
import type { ForwardDeps } from '../grpc/forward.ts';
import { guardArrival, mayTakeLong } from './arrival.ts';
import { EarlyRefusals } from './early-refusal.ts';
import { HttpExchange } from './exchange.ts';
import { refuse, refuseConnection } from './refusal.ts';
import { createMatcher, type Matcher, routeNotFound } from './routes.ts';
import { isSmallCall, type SmallCallSteps, serveSmallCall } from './small-call.ts';
import type { SystemPages } from './system-pages.ts';
import { type OpenCall, type TranscodeDeps, transcode } from './transcode.ts';
import { transcodeStream } from './transcode-stream.ts';
import { announcedBytes, turnAway } from './turn-away.ts';

/** The public HTTP door. */
export type HttpDoor = {
  /** Starts; answers where it listens. */
  listen(address: Address): Promise<string>;
  /** Takes no new requests, waits for those that run at most `graceMs`, then ends them with SHUTTING_DOWN. */
  close(graceMs: number): Promise<void>;
};

/** What the HTTP door needs besides what both doors need. */
export type HttpDoorDeps = ForwardDeps & {
  readonly pages: SystemPages;
  /** Milliseconds of silence after which a stream gets a comment. */
  readonly heartbeatMs: number;
};

declare module 'fastify' {
  interface FastifyRequest {
    exchange: HttpExchange | undefined;
  }
}

const serverOptions = {
  bodyLimit: messageLimitBytes,
  // Node's own bound knows no exceptions, and a streamed body may take hours: `guardArrival` bounds the others.
  requestTimeout: 0,
  keepAliveTimeout: 65_000,
  http: { headersTimeout: 10_000, maxHeaderSize: 16 * 1024, connectionsCheckingInterval: 2000 },
  exposeHeadRoutes: false,
  return503OnClosing: false,
  // One route takes all: fastify's router cannot express `{x}:verb`, and the raw path is decoded once, by us.
  rewriteUrl: () => '/',
  clientErrorHandler: refuseConnection,
} satisfies FastifyHttpOptions<Server>;

/** Milliseconds that a request may take to arrive; how long it may run is another matter. */
const arrivalMs = 30_000;

/** Connections that may wait to be taken: callers come in crowds. */
const backlogMax = 4_096;

/** Connections that may be open at once. */
const connectionMax = 10_000;

/** Milliseconds that last answers have to reach their callers when the door closes. */
const lastWordsMs = 250;

/** Serves every annotated method by turning JSON into its message and back; nothing here knows a method by name. */
export function createHttpDoor(deps: HttpDoorDeps, contract: Contract): HttpDoor {
  const matcher = createMatcher(contract.methods);
  const durations = createHttpDurations(deps.telemetry.meter);
  const open = new Set<OpenCall>();
  const small: SmallCallSteps = {
    enter: (exchange) => enter(deps, matcher, exchange),
    pass: (exchange, body) => transcode({ ...deps, open }, exchange, body, exchange.response),
    guard: (request) => guardArrival(request, arrivalMs),
  };
  const serveRun: RequestListener = (request, response) => {
    const exchange = new HttpExchange(deps, durations, request, response, request.url ?? '');
    serveSmallCall(small, exchange, response);
  };
  const serverFactory = (handler: RequestListener): Server => openServer(turned(deps, durations, handler, serveRun));
  const app = Fastify({ ...serverOptions, serverFactory });
  app.decorateRequest('exchange', undefined);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  const exchangeOf = (request: FastifyRequest, reply: FastifyReply): HttpExchange => {
    request.exchange ??= new HttpExchange(deps, durations, request.raw, reply.raw, request.originalUrl);
    return request.exchange;
  };
  app.addHook('onRequest', (request, reply, done) => {
    const exchange = exchangeOf(request, reply);
    const go = (): void => {
      if (exchange.match?.route.method.takesStream === true) takeStream({ ...deps, open }, exchange, reply);
      else done();
    };
    const later = enter(deps, matcher, exchange);
    if (later === undefined) go();
    else later.then(go, done);
  });
  app.setErrorHandler((error, request, reply) => {
    reply.hijack();
    refuse(exchangeOf(request, reply), reply.raw, error);
  });
  app.setNotFoundHandler((request, reply) => {
    const exchange = exchangeOf(request, reply);
    reply.hijack();
    refuse(exchange, reply.raw, notTaken(matcher, exchange.path));
  });
  app.route({
    method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    url: '/',
    handler: (request, reply) => {
      const exchange = exchangeOf(request, reply);
      // All answers are written by us, refusals of what throws here included.
      reply.hijack();
      try {
        if (deps.pages.has(exchange.path)) deps.pages.serve(exchange, reply.raw);
        else if (request.raw.method === 'OPTIONS') answerOptions(matcher, exchange, reply);
        else transcode({ ...deps, open }, exchange, request.body as Buffer | undefined, reply.raw);
      } catch (error) {
        refuse(exchange, reply.raw, error);
      }
    },
  });

  return {
    async listen(address) {
      const host = address.host.replace(/^\[|\]$/g, '');
      await app.listen({ host, port: address.port, backlog: backlogMax });
      const bound = app.server.address();
      return formatAddress({ host: address.host, port: typeof bound === 'object' ? (bound?.port ?? 0) : 0 });
    },
    async close(graceMs) {
      const timer = setTimeout(() => {
        for (const call of open) call.end(shuttingDown());
        setTimeout(() => app.server.closeAllConnections(), lastWordsMs).unref();
      }, graceMs);
      await app.close();
      clearTimeout(timer);
    },
  };
}

function openServer(handler: RequestListener): Server {
  const server = createServer(serverOptions.http, handler);
  server.keepAliveTimeout = serverOptions.keepAliveTimeout;
  server.requestTimeout = serverOptions.requestTimeout;
  server.maxConnections = connectionMax;
  return server;
}

// Ahead of everything that costs anything. Whoever looks after us is always let in.
function turned(
  deps: HttpDoorDeps,
  durations: HttpDurations,
  handler: RequestListener,
  serveRun: RequestListener,
): RequestListener {
  const { turnstiles, draining } = deps;
  const early = new EarlyRefusals({ turnstiles, durations, draining, keepAliveMs: serverOptions.keepAliveTimeout });
  return (request, response) => {
    early.began(request, response);
    const url = request.url ?? '';
    const question = url.indexOf('?');
    if (deps.pages.has(question < 0 ? url : url.slice(0, question))) return handler(request, response);
    const turnstile = deps.turnstiles.ofUrl(url);
    const caller = request.headers.authorization ?? request.socket.remoteAddress ?? '';
    const leave = turnstile.enter(caller, announcedBytes(request));
    if (leave !== undefined) {
      response.once('close', leave);
      if (turnstiles.isRun(turnstile) && isSmallCall(request)) return serveRun(request, response);
      guardArrival(request, arrivalMs);
      return handler(request, response);
    }
    deps.turnstiles.refused(turnstile);
    durations.record(0, { method: request.method ?? '', status: 429 });
    early.refused(request, response);
    turnAway(request, response, deps.draining());
  };
}

// A body of any length is never gathered: it is read as it comes.
function takeStream(deps: TranscodeDeps, exchange: HttpExchange, reply: FastifyReply): void {
  reply.hijack();
  mayTakeLong(exchange.request);
  try {
    transcodeStream(deps, exchange, reply.raw);
  } catch (error) {
    refuse(exchange, reply.raw, error);
  }
}

// What has to hold before a body is read: a route, a key, a role, a place in the limit, a media type.
function enter(deps: HttpDoorDeps, matcher: Matcher, exchange: HttpExchange): undefined | Promise<void> {
  const method = exchange.request.method ?? '';
  if (deps.pages.has(exchange.path) || method === 'OPTIONS') return undefined;
  exchange.matched(matcher.match(method, exchange.path));
  const later = exchange.admit(exchange.match!.route.method.path);
  if (later === undefined) return exchange.checkMediaType();
  return later.then(() => exchange.checkMediaType());
}

function shuttingDown(): AppError {
  return new AppError('SHUTTING_DOWN', 'The gateway is shutting down', { retryAfterMs: 1000 });
}

function notTaken(matcher: Matcher, path: string): AppError {
  const allow = matcher.allowed(path).join(', ');
  if (allow === '') return routeNotFound(path);
  return new AppError('METHOD_NOT_ALLOWED', `This path takes ${allow}`, { metadata: { allow } });
}

function answerOptions(matcher: Matcher, exchange: HttpExchange, reply: FastifyReply): void {
  const allowed = matcher.allowed(exchange.path);
  if (allowed.length === 0) throw routeNotFound(exchange.path);
  reply.raw.writeHead(204, { ...exchange.answerHeaders(), allow: allowed.join(', ') }).end();
}
