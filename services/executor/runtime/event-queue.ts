import type { LiveEvent } from '../execution/live.ts';

/**
 * Holds events for one reader. A reader who falls behind finds text of the same field joined, so that what is held never grows beyond
 * the text itself.
 */
export class EventQueue {
  private readonly events: LiveEvent[] = [];
  private wake: (() => void) | undefined;
  private isClosed = false;

  push(event: LiveEvent): void {
    const last = this.events.at(-1);
    if (
      event.kind === 'token' &&
      last?.kind === 'token' &&
      last.field === event.field &&
      last.predictor === event.predictor
    ) {
      this.events[this.events.length - 1] = { ...event, text: last.text + event.text };
    } else {
      this.events.push(event);
    }
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
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = undefined;
    }
    return this.events.shift();
  }
}
