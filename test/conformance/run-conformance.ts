import { once } from 'node:events';
import { accessSync, constants, createWriteStream, type WriteStream } from 'node:fs';
import type { JsonObject } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { corpusCases } from './corpus.ts';
import { type Case, checkHeader, isHeader } from './file-header.ts';
import { runGenerated } from './generated.ts';
import { type Options, UsageError } from './options.ts';
import type { CaseOutcome } from './outcome.ts';
import { FileError, readRecords } from './read-file.ts';
import type { Runner } from './runner.ts';
import { startSidecar } from './sidecar-client.ts';
import { makeTally, type Tally } from './tally.ts';

const AT_ONCE = 8;

/** Runs files of cases and prints what failed; gives the exit code: 0, 1 (failures), 2 (no such file), 3 (another dialect). */
export async function runConformance(options: Options, print: (line: string) => void): Promise<number> {
  for (const file of options.files) requireFile(file);
  const report = options.report === undefined ? undefined : await openReport(options.report);
  const sidecar = await startSidecar();
  const tally = makeTally(print);
  try {
    for (const file of options.files) {
      const other = await runFile(file, options, { sidecar, via: options.via, clock: tally.clock }, tally, report);
      if (other !== undefined) {
        print(`dialect differs: ${other}`);
        return 3;
      }
    }
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw new UsageError(error.message);
  } finally {
    await sidecar.close();
    if (report !== undefined) await new Promise((resolve) => report.end(resolve));
  }
  return tally.finish();
}

async function runFile(
  file: string,
  options: Options,
  runner: Runner,
  tally: Tally,
  report: WriteStream | undefined,
): Promise<string | undefined> {
  const running: Promise<CaseOutcome>[] = [];
  const settleFirst = async (): Promise<void> => {
    const outcome = await running.shift()!;
    tally.count(outcome);
    if (report !== undefined && !report.write(`${reportLine(outcome)}\n`)) await once(report, 'drain');
  };
  let first = true;
  for await (const line of readRecords(file)) {
    if ('fault' in line) {
      if (first) throw new FileError(`${file}: ${line.fault}`);
      running.push(Promise.resolve(crashed(line.at, runner, line.fault)));
      if (running.length >= AT_ONCE) await settleFirst();
      continue;
    }
    const { record } = line;
    if (first) {
      first = false;
      const other = checkHeader(file, record, runner.sidecar.dialect, tally.note);
      if (other !== undefined) return other;
      if (isHeader(record)) continue;
    }
    for (const { kind, record: own, run } of casesOf(record)) {
      if (options.only !== undefined && kind !== options.only) continue;
      running.push(safely(run, own, runner));
      if (running.length >= AT_ONCE) await settleFirst();
    }
  }
  while (running.length > 0) await settleFirst();
  return undefined;
}

function casesOf(record: JsonObject): Case[] {
  if (record.has('generated_with')) return corpusCases(record);
  return [{ kind: String(record.get('kind')), record, run: (runner) => runGenerated(runner, record) }];
}

type Run = (runner: Runner) => Promise<CaseOutcome>;

// A crash on one case is that case's failure.
async function safely(run: Run, record: JsonObject, runner: Runner): Promise<CaseOutcome> {
  try {
    return await run(runner);
  } catch (error) {
    const id = record.get('id');
    return crashed(typeof id === 'string' ? id : '?', runner, error instanceof Error ? error.message : String(error));
  }
}

function crashed(id: string, { via }: Runner, message: string): CaseOutcome {
  const difference = { what: 'crash', at: 0, want: 'an answer', got: JSON.stringify(message.slice(0, 200)) };
  return { id, via, got: null, reason: message, difference };
}

function reportLine({ id, via, got, reason }: CaseOutcome): string {
  const line = new Map([
    ['id', id],
    ['via', via],
    ['got', got],
  ] as const);
  const made = writeJson(reason === undefined ? line : new Map([...line, ['reason', reason]]));
  return made.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function requireFile(file: string): void {
  try {
    accessSync(file, constants.R_OK);
  } catch {
    throw new UsageError(`${file} cannot be read`);
  }
}

async function openReport(path: string): Promise<WriteStream> {
  const report = createWriteStream(path);
  try {
    await once(report, 'open');
  } catch {
    throw new UsageError(`${path} cannot be written`);
  }
  return report;
}
