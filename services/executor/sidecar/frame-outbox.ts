import type { ExecutorFrame } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

const framesMax = 1_000;
// One message may hold 16 MiB; a single frame always goes alone if it must.
const bytesMax = 4 * 1024 * 1024;

/** Gathers the frames of one turn of the event loop into one message, or several if they are many or large. */
export class FrameOutbox {
  readonly #write: (frames: ExecutorFrame[]) => void;
  #frames: ExecutorFrame[] = [];
  #scheduled = false;

  constructor(write: (frames: ExecutorFrame[]) => void) {
    this.#write = write;
  }

  /** Adds a frame; it leaves before the next turn's I/O, in order. */
  add(frame: ExecutorFrame): void {
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
      const size = sizeOf(frame);
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

// Near enough: only what can be large is measured.
function sizeOf({ kind }: ExecutorFrame): number {
  if (kind?.$case === 'start') return kind.value.inputsJson.length + 256;
  if (kind?.$case === 'lmReply' && kind.value.outcome?.$case === 'completion')
    return kind.value.outcome.value.text.length * 3;
  if (kind?.$case === 'toolReply') return kind.value.observationJson.length + 256;
  if (kind?.$case === 'define')
    return (kind.value.program?.demosJson ?? []).reduce((sum, demo) => sum + demo.length, 65_536);
  return 256;
}
