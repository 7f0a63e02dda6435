import { parseArgs } from 'node:util';

/** What the command line says. */
export type Options = {
  readonly files: readonly string[];
  readonly only: 'format' | 'parse' | undefined;
  readonly via: 'native' | 'sidecar';
  readonly report: string | undefined;
};

/** How the command is used. */
export const USAGE =
  'usage: npm run -s conformance -- FILE… [--only format|parse] [--via native|sidecar] [--report OUT.jsonl]';

/** Thrown for a command line that says something else. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** Reads the command line; throws UsageError. */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args);
  const { only, via = 'native', report } = values;
  if (positionals.length === 0) throw new UsageError('no FILE is named');
  for (const file of positionals) {
    if (!/\.(?:jsonl|jsonl\.gz|json)$/.test(file))
      throw new UsageError(`${file} is neither .jsonl, .jsonl.gz nor .json`);
  }
  if (only !== undefined && only !== 'format' && only !== 'parse') throw new UsageError('--only takes format or parse');
  if (via !== 'native' && via !== 'sidecar') throw new UsageError('--via takes native or sidecar');
  return { files: positionals, only, via, report };
}

function parse(args: readonly string[]): {
  values: { only?: string; via?: string; report?: string };
  positionals: string[];
} {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { only: { type: 'string' }, via: { type: 'string' }, report: { type: 'string' } },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
