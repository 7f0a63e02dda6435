import type { Logger } from './logger.ts';

/** Tells of what may happen thousands of times a second: the first of a kind at once, the others once a second as a number. */
export type Tally = {
  /** Notes one occurrence; `kind` must be one of few. */
  note(kind: string, fields: Readonly<Record<string, unknown>>, message: string): void;
};

const everyMs = 1000;

/** Makes a tally that writes warnings. */
export function createTally(log: Logger): Tally {
  const kinds = new Map<string, { more: number }>();
  return {
    note(kind, fields, message) {
      const open = kinds.get(kind);
      if (open !== undefined) {
        open.more++;
        return;
      }
      const counted = { more: 0 };
      kinds.set(kind, counted);
      log.warn(fields, message);
      const tell = (): void => {
        if (counted.more === 0) {
          kinds.delete(kind);
          return;
        }
        log.warn({ kind, count: counted.more, within_ms: everyMs }, 'more of the same');
        counted.more = 0;
        setTimeout(tell, everyMs).unref();
      };
      setTimeout(tell, everyMs).unref();
    },
  };
}
