import { formatAddress, parseAddresses } from '@signet/kit/config/env.ts';
import { resolveReplicas } from '@signet/kit/grpc/replicas.ts';
import { AttachedSession } from './attached-session.ts';

const lookEveryMs = 1_000;

/** A session with each replica of the executor; they take turns. */
export class AttachedSessions {
  readonly #addresses: NonNullable<ReturnType<typeof parseAddresses>>;
  readonly #internalToken: string;
  readonly #sessions = new Map<string, AttachedSession>();
  #order: AttachedSession[] = [];
  #turn = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** `address` is `host:port`, or several separated by commas; a name may stand for several replicas, and is looked up every second. */
  constructor(address: string, internalToken: string) {
    this.#addresses = parseAddresses(address) ?? [];
    this.#internalToken = internalToken;
    void this.#look();
  }

  /** The session whose turn it is; undefined while no replica takes calls this way. */
  next(): AttachedSession | undefined {
    for (let tries = this.#order.length; tries > 0; tries--) {
      this.#turn = (this.#turn + 1) % this.#order.length;
      const session = this.#order[this.#turn]!;
      if (session.takesCalls) return session;
    }
    return undefined;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const session of this.#order) session.close();
  }

  async #look(): Promise<void> {
    const found = (await resolveReplicas(this.#addresses)).map((one) => formatAddress(bracketed(one)));
    if (this.#isClosed) return;
    // A name that is not known any more may be known again soon; who was there last is the best guess.
    if (found.length > 0) this.#adopt(found);
    this.#timer = setTimeout(() => void this.#look(), lookEveryMs).unref();
  }

  #adopt(found: readonly string[]): void {
    for (const address of found) {
      if (!this.#sessions.has(address)) {
        this.#sessions.set(address, new AttachedSession(address, this.#internalToken));
      }
    }
    for (const [address, session] of this.#sessions) {
      if (found.includes(address)) continue;
      this.#sessions.delete(address);
      session.retire();
    }
    this.#order = [...this.#sessions.values()];
  }
}

function bracketed({ host, port }: { readonly host: string; readonly port: number }) {
  return { host: host.includes(':') ? `[${host}]` : host, port };
}
