import type { LiveEvent } from '../execution/live.ts';

/** Milliseconds between two texts: a screen draws no faster, and each costs four processes a message. */
const paceMs = 16;

/**
 * Holds events for one reader. The first text is handed on at once, further text of the same field at most every 16 ms and joined, so that
 * what is held never grows beyond the text itself. Whatever else happens waits for nothing.
 */
export class EventQueue {
  private readonly events: LiveEvent[] = [];
  private wake: (() => void) | undefined;
  private isClosed = false;
  private textMs = Number.NEGATIVE_INFINITY;

  push(event: LiveEvent): void {
    const last = this.events.at(-1);
    if (
      event.kind === 'token' &&
      last?.kind === 'token' &&
      last.field === event.field &&
      last.predictor === event.predictor
    ) {
      this.events[this.events.length - 1] = { ...event, text: last.text + event.text };
      return;
    }
    this.events.push(event);
    this.wake?.();
  }

  /** Nothing more will come. */
  close(): void {
    this.isClosed = true;
    this.wake?.();
  }

  /** Lets whoever waits look at its own reason to stop. */
  nudge(): void {
    this.wake?.();
  }

  /** The next event; undefined when nothing more comes, or when the reader has a reason to stop. */
  async next(isOver: () => boolean = () => false): Promise<LiveEvent | undefined> {
    while (this.events.length === 0) {
      if (this.isClosed || isOver()) return undefined;
      await this.woken();
    }
    if (this.isEarly()) await this.beat();
    const event = this.events.shift();
    if (event?.kind === 'token') this.textMs = performance.now();
    return event;
  }

  private isEarly(): boolean {
    const isText = this.events.length === 1 && this.events[0]!.kind === 'token';
    return isText && !this.isClosed && performance.now() - this.textMs < paceMs;
  }

  private async woken(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    this.wake = undefined;
  }

  private async beat(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (onBeat.size === 0) setTimeout(beat, paceMs);
      onBeat.add(resolve);
    });
    this.wake = undefined;
  }
}

// All readers hear one beat, so that texts of many streams leave in one turn of the event loop and share its frames.
const onBeat = new Set<() => void>();

function beat(): void {
  const waiting = [...onBeat];
  onBeat.clear();
  for (const resolve of waiting) resolve();
}
