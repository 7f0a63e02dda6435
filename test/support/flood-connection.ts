import { connect, type Socket } from 'node:net';

/** An answer as far as a flood looks at it. */
export type FloodAnswer = {
  readonly status: number;
  /** True if it tells when to come back, in its header and in its body. */
  readonly saysWhen: boolean;
  /** What a failure said; only where that is asked for. */
  readonly text?: string;
};

const blank = Buffer.from('\r\n\r\n');
const lengthName = Buffer.from('\r\ncontent-length: ');
const retryName = Buffer.from('\r\nretry-after: ');
const retryMember = Buffer.from('"retryAfterMs":');
const zero = 0x30;
const nothing = Buffer.alloc(0);

/**
 * One kept-alive connection that carries one request at a time. Understands answers with a content-length whose names are in lower case,
 * and no others: it takes as little of the machine as can be, which it shares with what is called.
 */
export class FloodConnection {
  isOpen = true;
  /** When the request that is under way was sent. */
  sentMs = 0;
  /** Resolves when it is connected, or cannot be. */
  readonly connected: Promise<void>;
  private readonly socket: Socket;
  private received: Buffer = nothing;
  private settle: ((connection: FloodConnection, answer: FloodAnswer | undefined) => void) | undefined;

  private readonly keepsFailures: boolean;

  /** `buffer` is where bytes arrive; connections may share it, as they are read one after the other. */
  constructor(address: string, buffer: Buffer, keepsFailures = false) {
    this.keepsFailures = keepsFailures;
    const { hostname, port } = new URL(address);
    const onread = { buffer, callback: (length: number) => this.read(buffer.subarray(0, length)) };
    this.socket = connect({ host: hostname, port: Number(port), noDelay: true, onread });
    this.connected = new Promise((resolve) => {
      this.socket.once('connect', () => resolve()).once('close', () => resolve());
    });
    this.socket.on('error', () => this.end());
    this.socket.on('close', () => this.end());
  }

  /** Sends a whole request; `settle` hears once what came, undefined if nothing did. */
  ask(request: Buffer, settle: (connection: FloodConnection, answer: FloodAnswer | undefined) => void): void {
    this.settle = settle;
    if (this.isOpen) this.socket.write(request);
    else this.answer(undefined);
  }

  close(): void {
    this.socket.destroy();
  }

  private read(bytes: Buffer): boolean {
    const received = this.received.length === 0 ? bytes : Buffer.concat([this.received, bytes]);
    const head = received.indexOf(blank);
    const end = head < 0 ? Number.POSITIVE_INFINITY : head + blank.length + lengthIn(received, head);
    if (received.length < end) {
      // What came is overwritten by what comes next.
      this.received = Buffer.from(received);
      return true;
    }
    this.received = received.length === end ? nothing : Buffer.from(received.subarray(end));
    const status = numberAt(received, 9);
    const saysWhen = status === 200 || (says(received, retryName) && says(received, retryMember));
    const isKept = this.keepsFailures && status !== 200;
    this.answer(
      isKept ? { status, saysWhen, text: received.toString('utf8', head + blank.length, end) } : { status, saysWhen },
    );
    return true;
  }

  private end(): void {
    this.isOpen = false;
    this.answer(undefined);
  }

  private answer(answer: FloodAnswer | undefined): void {
    const { settle } = this;
    this.settle = undefined;
    settle?.(this, answer);
  }
}

function lengthIn(received: Buffer, head: number): number {
  const at = received.indexOf(lengthName);
  return at < 0 || at > head ? 0 : numberAt(received, at + lengthName.length);
}

function says(received: Buffer, name: Buffer): boolean {
  const at = received.indexOf(name);
  return at >= 0 && numberAt(received, at + name.length) > 0;
}

function numberAt(bytes: Buffer, from: number): number {
  let number = 0;
  for (let at = from; at < bytes.length; at++) {
    const digit = bytes[at]! - zero;
    if (digit < 0 || digit > 9) break;
    number = number * 10 + digit;
  }
  return number;
}
