import { setTimeout as sleep } from 'node:timers/promises';
import type { Execution } from '@signet/client/execution.ts';
import type { JsonObject } from '@signet/client/json.ts';
import { SignetError } from '@signet/client/signet-error.ts';
import { fromExecution } from '@signet/client/wire.ts';
import { Command, Option } from 'commander';
import { styleOf } from '../output/paint.ts';
import type { Printer } from '../output/printer.ts';
import { cellText } from '../output/table.ts';
import { parseDuration } from '../read-value.ts';
import { addSharedOptions, type Session } from '../session.ts';
import { UsageError } from '../usage-error.ts';
import type { Run } from './contract-commands.ts';

const ENDED = '(status = completed OR status = failed OR status = cancelled)';
// Rows are told apart by when they changed, and a transaction may commit later than it says.
const OVERLAP_MS = 5_000;

type TailFlags = {
  readonly program?: string;
  readonly status?: string;
  readonly engine?: string;
  readonly filter?: string;
  readonly lines: string;
  readonly every: string;
  readonly follow: boolean;
};

/** `signet tail`: executions as they end, like `tail -f`. */
export function tailCommand(run: Run): Command {
  const command = new Command('tail')
    .summary('follow executions as they end')
    .description('Shows executions as they end, the last ones first and then each new one, until Ctrl-C.')
    .option('--program <program>', 'only those of this program, by id or slug')
    .addOption(new Option('--status <state>', 'only those that ended so').choices(['completed', 'failed', 'cancelled']))
    .addOption(new Option('--engine <name>', 'only those of this engine').choices(['python', 'native', 'mock']))
    .option('--filter <filter>', 'only those that fit, such as `duration_ms > 1000 AND labels.team = "a"`')
    .option('-n, --lines <number>', 'how many of the past ones', '10')
    .option('--every <duration>', 'how often to look', '1s')
    .option('--no-follow', 'end after the past ones')
    .addHelpText(
      'after',
      `
Examples:
  signet tail --program qa
  signet tail --status failed --json | jq -r .error.reason
`,
    );
  return addSharedOptions(command).action((flags: TailFlags) =>
    run(command, async (session) => {
      try {
        await tail(session, flags);
      } catch (error) {
        // Ctrl-C is how one leaves.
        if (!session.terminal.stop.aborted) throw error;
      }
    }),
  );
}

async function tail(session: Session, flags: TailFlags): Promise<void> {
  if (!/^\d{1,4}$/.test(flags.lines)) throw new UsageError(`--lines must be a whole number up to 9999`);
  const everyMs = parseDuration(flags.every);
  const { stop } = session.terminal;
  const begun = await list(session, flags, undefined, Number(flags.lines));
  const seen = new Map<string, number>();
  let newestMs = 0;
  const show = (executions: readonly Seen[]): void => {
    for (const { execution, changedMs } of executions.toSorted((a, b) => a.changedMs - b.changedMs)) {
      newestMs = Math.max(newestMs, changedMs);
      if (seen.has(execution.id)) continue;
      seen.set(execution.id, changedMs);
      print(session.printer, execution);
    }
    for (const [id, atMs] of seen) if (atMs < newestMs - 2 * OVERLAP_MS) seen.delete(id);
  };
  show(begun);
  while (flags.follow && !stop.aborted) {
    await sleep(everyMs, undefined, { signal: stop });
    const since = newestMs === 0 ? undefined : new Date(newestMs - OVERLAP_MS);
    show(await list(session, flags, since).catch(endure));
  }
}

type Seen = { readonly execution: Execution; readonly changedMs: number };

// A gateway that restarts is no reason to stop looking.
function endure(error: unknown): Seen[] {
  if (error instanceof SignetError && error.reason === 'SERVICE_UNAVAILABLE') return [];
  throw error;
}

async function list(session: Session, flags: TailFlags, since: Date | undefined, most?: number): Promise<Seen[]> {
  const { client, call } = session;
  const filter = [
    flags.status === undefined ? ENDED : `status = ${flags.status}`,
    ...(flags.engine === undefined ? [] : [`engine = ${flags.engine}`]),
    ...(since === undefined ? [] : [`update_time >= "${since.toISOString()}"`]),
    ...(flags.filter === undefined ? [] : [`(${flags.filter})`]),
  ].join(' AND ');
  const found: Seen[] = [];
  let pageToken = '';
  do {
    const pageSize = Math.min(most ?? 1_000, 1_000);
    if (pageSize === 0) return found;
    const request = { program: flags.program ?? '', filter, pageSize, pageToken };
    const page = await client.services.executions.listExecutions(request, call);
    for (const wire of page.executions) {
      found.push({ execution: fromExecution(wire), changedMs: wire.updateTime?.getTime() ?? 0 });
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== '' && (most === undefined || found.length < most));
  return most === undefined ? found : found.slice(0, most);
}

function print(printer: Printer, execution: Execution): void {
  const { error, ...rest } = execution;
  const failure = error === undefined ? undefined : { reason: error.reason, message: error.message };
  printer.item({ ...rest, ...(failure === undefined ? {} : { error: failure }) } as unknown as JsonObject, () =>
    [
      printer.paint('dim', cellText('endTime', execution.endTime?.toISOString() ?? '')),
      execution.id,
      printer.paint(styleOf(execution.status), execution.status.padEnd(9)),
      `${String(execution.durationMs).padStart(6)} ms`,
      cellText('program', execution.program),
      error === undefined
        ? ''
        : printer.paint('bad', `${error.reason} ${cellText('message', error.message.split('\n')[0])}`),
    ]
      .join('  ')
      .trimEnd(),
  );
}
