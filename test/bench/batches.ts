import { readFileSync } from 'node:fs';
import { INPUTS } from './inputs.ts';
import { type Door, type Signet, startSignet } from './signet.ts';
import type { StageContext } from './stages.ts';

/** The name by which these figures are asked for. */
export const BATCHES = 'batches';

const LM_MS = 50;
const SMALL = 100;
const LARGE = 10_000;
const NATIVE = 'executionOptions.engine=ENGINE_NATIVE';
const NDJSON = 'application/x-ndjson';

/** Measures many inputs: one by one and on one line on the native engine, and handed in on both. Gives a line of text for each. */
export async function measureBatches(context: StageContext, python: string): Promise<string[]> {
  const { bench, postgres, modelUrl } = context;
  const signet = await startSignet({ databaseUrl: postgres.url, python, lmUrl: modelUrl });
  context.onStop(signet.close);
  const door = signet.native.json;
  await bench.setModel(LM_MS, 0);
  // So that neither way pays for what is only done at first.
  await onOneLine(door, SMALL);
  const alone = await timed(() => oneByOne(door, SMALL));
  const together = await timed(() => onOneLine(door, SMALL));
  const less = 100 * (1 - together / alone);
  await bench.setModel(0, 0);
  const lines = [
    `${SMALL} items, LM ${LM_MS} ms, native: one by one ${alone.toFixed(0)} ms, batchExecute ${together.toFixed(0)} ms (${less.toFixed(1)} % less)`,
    await measureLarge(signet, door, 'ENGINE_NATIVE'),
    await measureLarge(signet, door, 'ENGINE_PYTHON'),
  ];
  await signet.close();
  return lines;
}

async function measureLarge(signet: Signet, door: Door, engine: string): Promise<string> {
  const path = `/v1/batches:upload?program=${slugOf(door)}&concurrency=64&executionOptions.engine=${engine}`;
  const rows = `${JSON.stringify(INPUTS)}\n`.repeat(LARGE);
  const startMs = performance.now();
  const { id } = (await (await send(door, path, rows)).json()) as { id: string };
  const uploadedMs = performance.now();
  await (await fetch(`${door.address}/v1/batches/${id}:watch`, { headers: { ...door.headers } })).text();
  const perSecond = LARGE / ((performance.now() - uploadedMs) / 1000);
  const peaks = ['executor', 'gateway'].map((name) => `${name} ${peakMb(signet.pids[name]![0]!)} MB`).join(', ');
  return `${LARGE} items handed in, LM 0 ms, ${engine === 'ENGINE_NATIVE' ? 'native' : 'Python'}: uploaded in ${(uploadedMs - startMs).toFixed(0)} ms, ${perSecond.toFixed(0)} items/s; at most ${peaks}`;
}

async function oneByOne(door: Door, count: number): Promise<void> {
  const body = Buffer.from(door.body, 'base64');
  const headers = { ...door.headers, 'content-type': 'application/json' };
  for (let call = 0; call < count; call++) {
    const answer = await fetch(`${door.address}${door.path}`, { method: 'POST', headers, body });
    if (!answer.ok) throw new Error(await answer.text());
    await answer.arrayBuffer();
  }
}

async function onOneLine(door: Door, count: number): Promise<void> {
  const path = `/v1/programs/${slugOf(door)}:batchExecute?concurrency=${count}&${NATIVE}`;
  const answer = await send(door, path, `${JSON.stringify({ inputs: INPUTS })}\n`.repeat(count));
  const done = (await answer.text()).match(/EXECUTION_STATUS_COMPLETED/g)?.length ?? 0;
  if (done !== count) throw new Error(`${done} of ${count} items completed`);
}

async function send(door: Door, path: string, body: string): Promise<Response> {
  const headers = { ...door.headers, 'content-type': NDJSON };
  const answer = await fetch(`${door.address}${path}`, { method: 'POST', headers, body });
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

function slugOf(door: Door): string {
  return /^\/v1\/programs\/([^:]+):/.exec(door.path)?.[1] ?? '';
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

function peakMb(pid: number): number {
  const [, kilobytes = '0'] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kilobytes) / 1024);
}
