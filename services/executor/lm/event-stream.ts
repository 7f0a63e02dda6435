/** The longest line of an event stream that is still read, in characters. */
export const lineCharsMax = 8 * 1024 * 1024;

/**
 * Reads server-sent events out of bytes that arrive in any cut: LF, CR and CRLF lines, comments, fields other than `data`
 * are skipped. Throws a TypeError on bytes that are not UTF-8 and a RangeError on an event longer than 8 Mi characters.
 */
export class EventStream {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  readonly #onData: (data: string) => void;
  #rest = '';
  #data: string | undefined;
  #afterReturn = false;

  constructor(onData: (data: string) => void) {
    this.#onData = onData;
  }

  /** Takes the next bytes and calls `onData` for each event that they complete. */
  push(bytes: Uint8Array): void {
    this.#read(this.#decoder.decode(bytes, { stream: true }));
  }

  /** Says that no more bytes come: an event whose blank line is missing still counts, as many endpoints forget it. */
  end(): void {
    this.#read(`${this.#decoder.decode()}\n\n`);
  }

  #read(fresh: string): void {
    let from = 0;
    while (from < fresh.length) {
      if (this.#afterReturn) {
        this.#afterReturn = false;
        if (fresh.charCodeAt(from) === 0x0a) {
          from += 1;
          continue;
        }
      }
      const end = lineEnd(fresh, from);
      if (end < 0) break;
      const line = this.#rest === '' ? fresh.slice(from, end) : this.#rest + fresh.slice(from, end);
      this.#rest = '';
      this.#afterReturn = fresh.charCodeAt(end) === 0x0d;
      from = end + 1;
      this.#take(line);
    }
    this.#rest += from === 0 ? fresh : fresh.slice(from);
    if (this.#rest.length > lineCharsMax) throw new RangeError('an event is too long');
  }

  #take(line: string): void {
    if (line === '') {
      const data = this.#data;
      this.#data = undefined;
      if (data !== undefined) this.#onData(data);
    } else if (line.startsWith('data:')) {
      const text = line.slice(line.charCodeAt(5) === 0x20 ? 6 : 5);
      this.#data = this.#data === undefined ? text : `${this.#data}\n${text}`;
      if (this.#data.length > lineCharsMax) throw new RangeError('an event is too long');
    }
  }
}

function lineEnd(text: string, from: number): number {
  const feed = text.indexOf('\n', from);
  const back = text.indexOf('\r', from);
  if (feed < 0 || back < 0) return Math.max(feed, back);
  return Math.min(feed, back);
}
