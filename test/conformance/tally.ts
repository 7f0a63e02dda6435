import type { CaseOutcome } from './outcome.ts';

const FAILURES_SHOWN = 50;

/** Counts cases and prints the failures. */
export type Tally = {
  count(outcome: CaseOutcome): void;
  /** Says something beside the results, on stderr. */
  note(text: string): void;
  /** Runs native work and counts its time. */
  clock<T>(work: () => T): T;
  /** Prints the last line and gives the exit code. */
  finish(): number;
};

/** Makes the count of one run. */
export function makeTally(print: (line: string) => void): Tally {
  const counts = { passed: 0, failed: 0, routed: 0, skipped: 0 };
  let nativeNs = 0n;
  const note = (text: string): void => console.error(text);
  return {
    note,
    count({ id, via, difference }) {
      if (via === 'routed') counts.routed++;
      if (via === 'skip') counts.skipped++;
      else if (difference === undefined) counts.passed++;
      else {
        counts.failed++;
        const { what, at, want, got } = difference;
        if (counts.failed <= FAILURES_SHOWN) print(`FAIL ${id} ${what} at ${at}: want ${want} got ${got}`);
      }
    },
    clock(work) {
      const began = process.hrtime.bigint();
      try {
        return work();
      } finally {
        nativeNs += process.hrtime.bigint() - began;
      }
    },
    finish() {
      const { passed, failed, routed, skipped } = counts;
      note(`native work: ${(Number(nativeNs) / 1e6).toFixed(1)} ms`);
      print(`${passed} passed, ${failed} failed, ${routed} routed, ${skipped} skipped`);
      return failed === 0 ? 0 : 1;
    },
  };
}
