import { connect, type Socket } from 'node:net';

/** An answer as far as a flood looks at it. */
export type FloodAnswer = {
  readonly status: number;
  /** True if it tells when to come back, in its header and in its body. */
  readonly saysWhen: boolean;
};

/** One kept-alive connection that carries one request at a time. Understands answers with a content-length, and no others. */
export class FloodConnection {
  isOpen = true;
  /** Resolves when it is connected, or cannot be. */
  readonly connected: Promise<void>;
  private readonly socket: Socket;
  private received = '';
  private settle: ((answer: FloodAnswer | undefined) => void) | undefined;

  constructor(address: string) {
    const { hostname, port } = new URL(address);
    this.socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.connected = new Promise((resolve) => {
      this.socket.once('connect', () => resolve()).once('close', () => resolve());
    });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => this.read(text));
    this.socket.on('error', () => this.end());
    this.socket.on('close', () => this.end());
  }

  /** Sends a whole request; undefined if no answer came. */
  ask(request: Buffer): Promise<FloodAnswer | undefined> {
    return new Promise((resolve) => {
      this.settle = resolve;
      if (this.isOpen) this.socket.write(request);
      else this.answer(undefined);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private read(text: string): void {
    this.received += text;
    const head = this.received.indexOf('\r\n\r\n');
    if (head < 0) return;
    const [, length] = /\r\ncontent-length: (\d+)/i.exec(this.received) ?? [];
    const end = head + 4 + Number(length ?? 0);
    if (this.received.length < end) return;
    const answer = this.received.slice(0, end);
    this.received = this.received.slice(end);
    const status = Number(answer.slice(9, 12));
    const saysWhen = status === 200 || (/\r\nretry-after: [1-9]/i.test(answer) && /"retryAfterMs":[1-9]/.test(answer));
    this.answer({ status, saysWhen });
  }

  private end(): void {
    this.isOpen = false;
    this.answer(undefined);
  }

  private answer(answer: FloodAnswer | undefined): void {
    const { settle } = this;
    this.settle = undefined;
    settle?.(answer);
  }
}
