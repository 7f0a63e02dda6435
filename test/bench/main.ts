import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../services/local/postgres.ts';
import { findSidecarPython, whyNoPython } from '../support/python.ts';
import { BATCHES, measureBatches } from './batches.ts';
import { Bench } from './bench.ts';
import { ensureBenchVenv } from './bench-venv.ts';
import { DSPY_MANY, measureDspyMany } from './dspy-many.ts';
import { describeMachine } from './machine.ts';
import { readOptions, USAGE } from './options.ts';
import { measureOverload } from './overload.ts';
import { measurePipelines, PIPELINES } from './pipelines.ts';
import { measurePlanWork, PLAN_WORK } from './plan-work.ts';
import { profileSignet } from './profile.ts';
import { measureQueuedJobs, QUEUED_JOBS } from './queued-jobs.ts';
import {
  DSPY_ROWS,
  measureBareChain,
  measureDspy,
  measureMock,
  measurePython,
  NATIVE_ROWS,
  PYTHON_ROWS,
  type StageContext,
} from './stages.ts';
import { writeRatios, writeRest, writeTable } from './table.ts';

const DATA_DIR = process.env.SIGNET_DATA_DIR ?? join(import.meta.dirname, '..', '..', '.signet');
const ends: (() => Promise<void>)[] = [];
let isStopped = false;

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) return void process.stdout.write(`${USAGE}\n`);
  const folder = mkdtempSync(join(tmpdir(), 'signet-bench-'));
  ends.push(async () => rmSync(folder, { recursive: true, force: true }));
  // Durable as in production: with commits that wait for the disk.
  const postgres = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres') });
  ends.push(() => postgres.stop());
  const bench = new Bench(options, ({ name, inFlight, delayMs, perSecond, cpuMs, failure }) => {
    const said = failure === undefined ? '' : ` — ${failure}`;
    say(
      `  ${name}, LM ${delayMs} ms, ${inFlight} in flight: ${perSecond.toFixed(0)}/s, ${cpuMs.toFixed(2)} ms CPU${said}`,
    );
  });
  ends.push(() => bench.close());
  const context: StageContext = {
    ...{ bench, postgres, modelUrl: await bench.modelUrl() },
    onStop: (close) => void ends.push(close),
  };
  const machine = describeMachine(findSidecarPython());
  if (options.profile) {
    await profileSignet(context, folder, findSidecarPython());
    return;
  }
  if (options.overload) {
    await measureOverload(context, undefined, options.seconds);
    const python = findSidecarPython();
    if (python !== undefined) await measureOverload(context, python, options.seconds);
    return void process.stdout.write(`\n${machine}\n`);
  }
  const planWork: string[] = [];
  const skipped = await measureAll(context, planWork);
  if (isStopped) return;
  const print = (line: string): boolean => process.stdout.write(`${line}\n`);
  print(`\n${writeTable(bench.rows)}\n`);
  for (const line of writeRatios(bench.rows)) print(line);
  for (const rest of bench.rests) print(writeRest(rest));
  for (const line of planWork) print(line);
  for (const line of skipped) print(line);
  print(`\n${options.seconds} s a cell · Postgres with fsync and synchronous_commit on · ${machine}`);
  if (options.json !== undefined) {
    writeFileSync(
      options.json,
      `${JSON.stringify({ machine, seconds: options.seconds, rows: bench.rows, rests: bench.rests }, null, 1)}\n`,
    );
  }
}

async function measureAll(context: StageContext, planWork: string[]): Promise<string[]> {
  const skipped: string[] = [];
  const attempt = async (what: string, measure: () => Promise<void>): Promise<void> => {
    if (isStopped) return;
    try {
      await measure();
    } catch (error) {
      if (isStopped) return;
      const line = `left out: ${what}: ${error instanceof Error ? error.message : String(error)}`;
      say(`  ${line}`);
      skipped.push(line);
    }
  };
  await attempt('bare chain, 1 hop', () => measureBareChain(context, 1));
  await attempt('bare chain, 2 hops', () => measureBareChain(context, 2));
  await attempt('Signet on the mock engine', () => measureMock(context));
  await attempt('Signet on Python', async () => {
    if (![...PYTHON_ROWS, ...NATIVE_ROWS].some((name) => context.bench.wants(name))) return;
    const python = findSidecarPython();
    if (python === undefined) throw new Error(whyNoPython());
    await measurePython(context, python);
  });
  await attempt(PLAN_WORK, async () => {
    if (!context.bench.wants(PLAN_WORK)) return;
    if (findSidecarPython() === undefined) throw new Error(whyNoPython());
    planWork.push(...(await measurePlanWork()));
  });
  const lines = [
    [BATCHES, measureBatches],
    [PIPELINES, measurePipelines],
    [QUEUED_JOBS, measureQueuedJobs],
  ] as const;
  for (const [name, measure] of lines) {
    await attempt(name, async () => {
      if (!context.bench.wants(name)) return;
      const python = findSidecarPython();
      if (python === undefined) throw new Error(whyNoPython());
      planWork.push(...(await measure(context, python)));
    });
  }
  await attempt(DSPY_MANY, async () => {
    if (!context.bench.wants(DSPY_MANY)) return;
    planWork.push(...(await measureDspyMany(context, await ensureBenchVenv(DATA_DIR))));
  });
  await attempt('DSPy without Signet', async () => {
    if (!DSPY_ROWS.some((name) => context.bench.wants(name))) return;
    const python = await ensureBenchVenv(DATA_DIR);
    await measureDspy(context, python, 'engine');
    await measureDspy(context, python, 'lm15');
  });
  return skipped;
}

async function endAll(): Promise<void> {
  for (const end of ends.splice(0).reverse()) await end().catch((error: unknown) => say(String(error)));
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    isStopped = true;
    void endAll().finally(() => process.exit(130));
  });
}
try {
  await main();
} catch (error) {
  say(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await endAll();
}
