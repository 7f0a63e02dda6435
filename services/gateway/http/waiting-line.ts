import type { Socket } from 'node:net';

const stepMs = 5;
/** Places of the line that are done with and not yet cut off. */
const forgottenMax = 1_000;

/**
 * Connections that were refused and may ask again, in their turn: so many a second are read again, and each after `waitMaxMs` at the
 * latest. As long as fewer come nobody waits.
 */
export class WaitingLine {
  readonly #perStep: number;
  readonly #waitMaxMs: number;
  readonly #waiting: { readonly socket: Socket; readonly sinceMs: number }[] = [];
  #head = 0;
  #spent = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(perSecond: number, waitMaxMs: number) {
    this.#perStep = (perSecond * stepMs) / 1000;
    this.#waitMaxMs = waitMaxMs;
  }

  /** A connection was refused: it is read again when it is its turn, perhaps now. */
  add(socket: Socket): void {
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#step(), stepMs).unref();
    this.#spent++;
    if (this.#spent <= this.#perStep && this.#head === this.#waiting.length) return;
    socket.pause();
    this.#waiting.push({ socket, sinceMs: performance.now() });
  }

  #step(): void {
    this.#timer = undefined;
    this.#spent = 0;
    const nowMs = performance.now();
    let resumed = 0;
    while (this.#head < this.#waiting.length) {
      const { socket, sinceMs } = this.#waiting[this.#head]!;
      if (resumed >= this.#perStep && nowMs - sinceMs < this.#waitMaxMs) break;
      this.#head++;
      resumed++;
      socket.resume();
    }
    if (this.#head === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#head = 0;
      return;
    }
    if (this.#head > forgottenMax) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
    this.#timer = setTimeout(() => this.#step(), stepMs).unref();
  }
}
