import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpDurations } from '@signet/kit/telemetry/call-durations.ts';
import type { Turnstiles } from '../admission/turnstiles.ts';
import { readHead } from './raw-head.ts';
import { refusalBytes } from './turn-away.ts';
import { WaitingLine } from './waiting-line.ts';

/** What refusing early needs. */
export type EarlyRefusalDeps = {
  readonly turnstiles: Turnstiles;
  readonly durations: HttpDurations;
  /** True once the door takes no new calls: then every answer has to say so. */
  readonly draining: () => boolean;
  readonly keepAliveMs: number;
};

/** How often the answers are written anew, for their date. */
const freshMs = 1_000;
const answerCount = 16;

/** How many that were refused are heard again each second, and how long one waits at most: as long as its refusal asked it to. */
const againPerSecond = 5_000;
const againWaitMaxMs = 1_000;

/**
 * Refuses calls that find no place by the bytes of their request, before anything of HTTP is done with them: a refusal costs a fraction of
 * a parsed request. A connection is looked at this way from its first refusal on; whatever is not plainly one small run call goes to the
 * HTTP server as ever, and nothing is refused early while an answer is still to come on the same connection. Who asks again on it at once,
 * against what the refusal said, stands in line with all others who do: their number a second is bounded, so that refusing never takes
 * from serving.
 */
export class EarlyRefusals {
  readonly #deps: EarlyRefusalDeps;
  readonly #line = new WaitingLine(againPerSecond, againWaitMaxMs);
  readonly #looked = new WeakMap<Socket, LookedAt>();
  #answers: Buffer[] = [];
  #answersMs = Number.NEGATIVE_INFINITY;
  #turn = 0;

  constructor(deps: EarlyRefusalDeps) {
    this.#deps = deps;
  }

  /** Tells of every request that the HTTP server begins. */
  began(request: IncomingMessage, response: ServerResponse): void {
    const looked = this.#looked.get(request.socket);
    if (looked !== undefined) response.once('close', () => looked.answered());
  }

  /** A request was refused: what comes next on its connection is looked at early. */
  refused({ socket, headers }: IncomingMessage, response: ServerResponse): void {
    const isPlain = headers['transfer-encoding'] === undefined && headers.upgrade === undefined;
    if (!isPlain || this.#looked.has(socket)) return;
    response.once('close', () => {
      if (socket.destroyed || this.#looked.has(socket)) return;
      this.#looked.set(socket, new LookedAt(socket, (chunk) => this.#refuse(socket, chunk)));
    });
  }

  // True if the chunk was one request, and is answered.
  #refuse(socket: Socket, chunk: Buffer): boolean {
    const { turnstiles, durations, draining } = this.#deps;
    const head = readHead(chunk);
    if (head === undefined || draining()) return false;
    const turnstile = turnstiles.ofUrl(head.target);
    const caller = head.authorization ?? socket.remoteAddress ?? '';
    if (!turnstiles.isRun(turnstile) || turnstile.hasPlace(caller, head.bodyBytes)) return false;
    turnstiles.refused(turnstile);
    durations.record(0, { method: 'POST', status: 429 });
    // Who does not read what is answered is not read any more either.
    if (socket.write(this.#nextAnswer())) this.#line.add(socket);
    else {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
    return true;
  }

  #nextAnswer(): Buffer {
    const nowMs = performance.now();
    if (nowMs - this.#answersMs > freshMs) {
      const keepAliveS = Math.floor(this.#deps.keepAliveMs / 1000);
      this.#answers = Array.from({ length: answerCount }, () => refusalBytes(keepAliveS));
      this.#answersMs = nowMs;
    }
    this.#turn = (this.#turn + 1) % answerCount;
    return this.#answers[this.#turn]!;
  }
}

/** A connection whose bytes pass here before the HTTP server has them. */
class LookedAt {
  readonly #socket: Socket;
  readonly #refuse: (chunk: Buffer) => boolean;
  readonly #parse: readonly ((chunk: Buffer) => void)[];
  /** Requests that the HTTP server has and has not answered. */
  #underWay = 0;
  /** True once it is not known where a request begins. */
  #isLost = false;

  constructor(socket: Socket, refuse: (chunk: Buffer) => boolean) {
    this.#socket = socket;
    this.#refuse = refuse;
    this.#parse = socket.listeners('data') as ((chunk: Buffer) => void)[];
    // Whoever listens to data takes the bytes from the parser, which has them handed on from here.
    socket.removeAllListeners('data');
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  answered(): void {
    this.#underWay--;
  }

  #take(chunk: Buffer): void {
    if (!this.#isLost) {
      if (this.#underWay === 0 && this.#refuse(chunk)) return;
      if (readHead(chunk) === undefined) this.#isLost = true;
      this.#underWay++;
    }
    for (const parse of this.#parse) parse.call(this.#socket, chunk);
  }
}
