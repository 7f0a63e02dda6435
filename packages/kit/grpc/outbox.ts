const framesMax = 1_000;
// One message may hold 16 MiB; a single frame always goes alone if it must.
const bytesMax = 4 * 1024 * 1024;

/** Gathers the frames of one turn of the event loop into one message of a stream, or several if they are many or large. */
export class Outbox<Frame> {
  readonly #write: (frames: Frame[]) => void;
  readonly #sizeOf: (frame: Frame) => number;
  #frames: Frame[] = [];
  #scheduled = false;

  /** `sizeOf` gives bytes; near enough will do. */
  constructor(write: (frames: Frame[]) => void, sizeOf: (frame: Frame) => number) {
    this.#write = write;
    this.#sizeOf = sizeOf;
  }

  /** Adds a frame; it leaves before the next turn's I/O, in order. */
  add(frame: Frame): void {
    this.#frames.push(frame);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const frames = this.#frames;
    this.#frames = [];
    let from = 0;
    let bytes = 0;
    for (const [at, frame] of frames.entries()) {
      const size = this.#sizeOf(frame);
      if (at > from && (bytes + size > bytesMax || at - from >= framesMax)) {
        this.#write(frames.slice(from, at));
        from = at;
        bytes = 0;
      }
      bytes += size;
    }
    this.#write(from === 0 ? frames : frames.slice(from));
  }
}
