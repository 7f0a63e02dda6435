import { parseArgs } from 'node:util';

/** How the bench is to be run. */
export type BenchOptions = {
  /** Seconds of each cell, warm-up not included. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Only rows whose `target, case` holds one of these texts; empty for all. */
  readonly only: readonly string[];
  /** Where to write the figures as JSON. */
  readonly json: string | undefined;
  /** Profile one cell of each engine, and of the cache, instead of measuring. */
  readonly profile: boolean;
  /** Ask for five times the peak for a minute instead of measuring. */
  readonly overload: boolean;
};

/** The text of `--help`. */
export const USAGE = `npm run bench [-- options]
  --seconds N   seconds of each cell (default 5)
  --quick       2 seconds a cell
  --only TEXT   only rows whose name holds TEXT; may be repeated
  --json FILE   write the figures there, too
  --profile     profile the Node processes for one cell of each engine and of the cache and print where their time goes
  --overload    ask for five times the peak for a minute (or --seconds) and print what is left of it
  --help        this`;

/** Reads the command line; undefined where help was asked for. Throws a TypeError that says what is wrong with it. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      profile: { type: 'boolean', default: false },
      overload: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const seconds = Number(values.seconds ?? (values.overload ? 60 : values.quick ? 2 : 5));
  if (!(seconds >= 0.5 && seconds <= 120)) throw new TypeError('--seconds must be between 0.5 and 120');
  return {
    seconds,
    warmUpSeconds: Math.min(1, Math.max(0.5, seconds / 3)),
    only: values.only,
    json: values.json,
    profile: values.profile,
    overload: values.overload,
  };
}
