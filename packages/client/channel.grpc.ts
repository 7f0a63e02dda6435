import { setTimeout as sleep } from 'node:timers/promises';
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { bearerOf, type Connection, channelOf } from './connection.ts';
import { type Repeatable, repeatableOf, repeatDelayMs, withRequestId } from './repeat.ts';
import { type Many, sendRequests } from './request-stream.ts';
import { SignetError, toSignetError } from './signet-error.ts';

/** What one call may be told besides its request. */
export type CallOptions = {
  /** Milliseconds until the call must have ended, repeats included; travels on to the service. Default: the client's. */
  readonly timeoutMs?: number;
  /** Ends the call early, here and in the service. */
  readonly signal?: AbortSignal;
  /** How often a call that may be repeated is repeated. Default: the client's. */
  readonly retries?: number;
  /** The W3C trace that the call belongs to. */
  readonly traceparent?: string;
  /** More metadata of the call. */
  readonly metadata?: Readonly<Record<string, string>>;
};

/** Defaults of every call. */
export type CallDefaults = {
  /** Default 60,000; streams have none unless a call says so. */
  readonly timeoutMs?: number;
  /** Default 3. */
  readonly retries?: number;
};

/** A connection over which any method of the contract can be called. */
export class Channel {
  private readonly client: Client;
  private readonly authorization: string | undefined;
  private readonly timeoutMs: number;
  private readonly retries: number;

  /** Connects when it is first used, and again whenever the connection broke. Throws TypeError for an address or a key that cannot be. */
  constructor(connection: Connection, defaults: CallDefaults = {}) {
    const { target, credentials } = channelOf(connection);
    this.authorization = connection.key === undefined ? undefined : bearerOf(connection.key);
    this.timeoutMs = defaults.timeoutMs ?? 60_000;
    this.retries = defaults.retries ?? 3;
    this.client = new Client(target, credentials, {
      'grpc.primary_user_agent': 'signet-client-ts/0.1.0',
      'grpc.max_send_message_length': 16 * 1024 * 1024,
      'grpc.max_receive_message_length': 16 * 1024 * 1024,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2_000,
      'grpc.min_reconnect_backoff_ms': 100,
      // The client repeats by itself: it knows what may be.
      'grpc.enable_retries': 0,
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  /** Calls a unary method; repeats it where that is safe. Throws SignetError. */
  async unary<Req extends object, Res>(
    method: MethodDefinition<Req, Res>,
    given: Req,
    options: CallOptions = {},
  ): Promise<Res> {
    const repeatable = repeatableOf(method.path, given);
    const retries = options.retries ?? this.retries;
    const request = retries > 0 ? withRequestId(given, repeatable) : given;
    const deadlineMs = Date.now() + (options.timeoutMs ?? this.timeoutMs);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.once(method, request, deadlineMs, options);
      } catch (error) {
        await this.waitToRepeat(error, { repeatable, attempt, retries, deadlineMs, signal: options.signal });
      }
    }
  }

  /** Opens a server stream; leaving the iteration, or the signal, ends the call. Only refusals before the first message are repeated. */
  async *stream<Req extends object, Res>(
    method: MethodDefinition<Req, Res>,
    request: Req,
    options: CallOptions = {},
  ): AsyncGenerator<Res, void, undefined> {
    const repeatable = repeatableOf(method.path, request);
    const retries = options.retries ?? this.retries;
    const deadlineMs = options.timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + options.timeoutMs;
    let begun = false;
    for (let attempt = 1; ; attempt += 1) {
      try {
        for await (const message of this.open(method, request, deadlineMs, options)) {
          begun = true;
          yield message;
        }
        return;
      } catch (error) {
        if (begun) throw error;
        await this.waitToRepeat(error, { repeatable, attempt, retries, deadlineMs, signal: options.signal });
      }
    }
  }

  /** Calls a method with requests as they come, and gives its one answer. Nothing of it is repeated. Throws SignetError, or what the requests break with. */
  upload<Req extends object, Res>(
    method: MethodDefinition<Req, Res>,
    requests: Many<Req>,
    options: CallOptions = {},
  ): Promise<Res> {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      if (signal?.aborted) return reject(cancelled(signal));
      let broken: { readonly error: unknown } | undefined;
      const call = this.client.makeClientStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        this.metadata(options),
        deadlineOf(options),
        (error, response) => {
          signal?.removeEventListener('abort', abort);
          if (broken !== undefined) reject(broken.error);
          else if (error === null) resolve(response as Res);
          else reject(signal?.aborted ? cancelled(signal) : toSignetError(error));
        },
      );
      const abort = (): void => call.cancel();
      signal?.addEventListener('abort', abort, { once: true });
      sendRequests(call, requests).catch((error: unknown) => {
        broken = { error };
        call.cancel();
      });
    });
  }

  /** Calls a method with requests as they come, and gives its answers as they come; leaving the iteration, or the signal, ends the call. */
  async *duplex<Req extends object, Res>(
    method: MethodDefinition<Req, Res>,
    requests: Many<Req>,
    options: CallOptions = {},
  ): AsyncGenerator<Res, void, undefined> {
    const { signal } = options;
    if (signal?.aborted) throw cancelled(signal);
    const call: ClientDuplexStream<Req, never> = this.client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize as (bytes: Buffer) => never,
      this.metadata(options),
      deadlineOf(options),
    );
    let broken: { readonly error: unknown } | undefined;
    const abort = (): void => call.cancel();
    signal?.addEventListener('abort', abort, { once: true });
    sendRequests(call, requests).catch((error: unknown) => {
      broken = { error };
      call.cancel();
    });
    try {
      for await (const message of call) yield message;
    } catch (error) {
      if (broken !== undefined) throw broken.error;
      throw signal?.aborted ? cancelled(signal) : toSignetError(error as ServiceError);
    } finally {
      signal?.removeEventListener('abort', abort);
      call.on('error', () => undefined);
      call.cancel();
    }
  }

  /** Closes the connection; calls under way end as they would. */
  close(): void {
    this.client.close();
  }

  private once<Req, Res>(
    method: MethodDefinition<Req, Res>,
    request: Req,
    deadline: number,
    options: CallOptions,
  ): Promise<Res> {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      if (signal?.aborted) return reject(cancelled(signal));
      const call = this.client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.metadata(options),
        { deadline },
        (error, response) => {
          signal?.removeEventListener('abort', abort);
          if (error === null) resolve(response as Res);
          else reject(signal?.aborted ? cancelled(signal) : toSignetError(error));
        },
      );
      const abort = (): void => call.cancel();
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  private async *open<Req, Res>(
    method: MethodDefinition<Req, Res>,
    request: Req,
    deadline: number,
    options: CallOptions,
  ): AsyncGenerator<Res> {
    const { signal } = options;
    if (signal?.aborted) throw cancelled(signal);
    const call: ClientReadableStream<never> = this.client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize as (bytes: Buffer) => never,
      request,
      this.metadata(options),
      Number.isFinite(deadline) ? { deadline } : {},
    );
    const abort = (): void => call.cancel();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      for await (const message of call) yield message;
    } catch (error) {
      throw signal?.aborted ? cancelled(signal) : toSignetError(error);
    } finally {
      signal?.removeEventListener('abort', abort);
      // The iteration may be left early; a late error of the cancelled call is nobody's.
      call.on('error', () => undefined);
      call.cancel();
    }
  }

  private metadata(options: CallOptions): Metadata {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(options.metadata ?? {})) metadata.set(name, value);
    if (this.authorization !== undefined) metadata.set('authorization', this.authorization);
    if (options.traceparent !== undefined) metadata.set('traceparent', options.traceparent);
    // Text, so that integers beyond 2^53 survive.
    metadata.set('signet-payload', 'json');
    return metadata;
  }

  private async waitToRepeat(error: unknown, state: RepeatState): Promise<void> {
    if (!(error instanceof SignetError) || state.attempt > state.retries) throw error;
    const delayMs = repeatDelayMs(error, state.repeatable, state.attempt);
    // What would come too late is not worth the wait.
    if (delayMs === undefined || Date.now() + delayMs >= state.deadlineMs) throw error;
    await sleep(delayMs, undefined, { signal: state.signal }).catch(() => {
      throw cancelled(state.signal);
    });
  }
}

function deadlineOf({ timeoutMs }: CallOptions): { deadline?: number } {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

type RepeatState = {
  readonly repeatable: Repeatable;
  readonly attempt: number;
  readonly retries: number;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
};

function cancelled(signal: AbortSignal | undefined): SignetError {
  return new SignetError('CANCELLED', 'The call was cancelled', { code: status.CANCELLED, cause: signal?.reason });
}
