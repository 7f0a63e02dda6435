import { setTimeout as sleep } from 'node:timers/promises';
import { startBareChain } from './bare-chain/start.ts';
import type { Bench } from './bench.ts';
import type { CpuGroups } from './cpu-meter.ts';
import { INPUTS } from './inputs.ts';
import { type LmKind, startDspyAlone, startFastApi } from './python-server.ts';
import { type Door, type Signet, startSignet } from './signet.ts';

/** Calls in flight that every row is measured at. */
export const IN_FLIGHT = [1, 32, 128] as const;
/** Milliseconds between the chunks of a streamed reply. */
export const GAP_MS = 5;

/** The rows of the product on Python: two of calls, two of streams. */
export const PYTHON_ROWS = [
  'Signet, Python, HTTP',
  'Signet, Python, gRPC',
  'Signet, Python, SSE',
  'Signet, Python, gRPC stream',
] as const;
/** The rows of the product on prompt plans: Python made the plan and then rests. */
export const NATIVE_ROWS = [
  'Signet, native, HTTP',
  'Signet, native, gRPC',
  'Signet, native, SSE',
  'Signet, native, cached, HTTP',
  'Signet, native, cached, gRPC',
] as const;
/** The rows without the product. */
export const DSPY_ROWS = [
  'DSPy alone, own engine',
  'FastAPI + DSPy, own engine',
  "DSPy alone, DSPy's client",
  "FastAPI + DSPy, DSPy's client",
] as const;

/** What stages share. */
export type StageContext = {
  readonly bench: Bench;
  readonly modelUrl: string;
  readonly postgres: { readonly url: string; readonly pid: number };
  /** Processes are ended in reverse when the bench is stopped early. */
  readonly onStop: (close: () => Promise<void>) => void;
};

/** Measures the bare chain with one hop (as far as the mock engine goes) or two (as far as Python). */
export async function measureBareChain(context: StageContext, hops: 1 | 2): Promise<void> {
  const { bench, postgres } = context;
  const names = {
    http: `bare chain, ${hops} hop${hops === 1 ? '' : 's'}, HTTP`,
    grpc: `bare chain, ${hops} hop${hops === 1 ? '' : 's'}, gRPC`,
  };
  if (!bench.wants(names.http) && !bench.wants(names.grpc)) return;
  const chain = await startBareChain(postgres.url, hops);
  context.onStop(chain.close);
  const body = Buffer.from(JSON.stringify({ inputs: INPUTS })).toString('base64');
  const doors: [string, Door][] = [
    [names.http, { kind: 'json', address: chain.http, path: '/', body, headers: {} }],
    [names.grpc, { kind: 'unary', address: chain.grpc, path: '/bare.Chain/Run', body, headers: {} }],
  ];
  await measureDoors(bench, doors, { ...chain.pids, postgres: [postgres.pid] }, [0]);
  await chain.close();
}

/** Measures the product on its mock engine; no Python runs. */
export async function measureMock(context: StageContext): Promise<void> {
  const { bench, postgres, modelUrl } = context;
  const names = ['Signet, mock, HTTP', 'Signet, mock, gRPC'] as const;
  if (!names.some((name) => bench.wants(name))) return;
  const signet = await startSignet({ databaseUrl: postgres.url, python: undefined, lmUrl: modelUrl });
  context.onStop(signet.close);
  const doors: [string, Door][] = [
    [names[0], signet.doors.json],
    [names[1], signet.doors.unary],
  ];
  const groups = { ...signet.pids, postgres: [postgres.pid] };
  await measureDoors(bench, doors, groups, [0]);
  await bench.measureRest('Signet without Python', groups);
  await signet.close();
}

/** Measures the product on real DSPy: calls with a model that answers at once and after 50 ms, and streams of 37 chunks. */
export async function measurePython(context: StageContext, python: string): Promise<void> {
  const { bench, postgres, modelUrl } = context;
  const signet = await startSignet({ databaseUrl: postgres.url, python, lmUrl: modelUrl });
  context.onStop(signet.close);
  const groups = { ...signet.pids, postgres: [postgres.pid] };
  const doors: [string, Door][] = [
    [PYTHON_ROWS[0], signet.doors.json],
    [PYTHON_ROWS[1], signet.doors.unary],
  ];
  await measureDoors(bench, doors, groups, [0, 50]);
  const streams: [string, Door][] = [
    [PYTHON_ROWS[2], signet.doors.sse],
    [PYTHON_ROWS[3], signet.doors.stream],
  ];
  await measureDoors(bench, streams, groups, [0], GAP_MS);
  await measureNative(bench, signet, groups);
  await bench.measureRest('Signet with Python', groups);
  await signet.close();
}

async function measureNative(bench: Bench, signet: Signet, groups: CpuGroups): Promise<void> {
  const calls: [string, Door][] = [
    [NATIVE_ROWS[0], signet.native.json],
    [NATIVE_ROWS[1], signet.native.unary],
  ];
  await measureDoors(bench, calls, groups, [0, 50]);
  await measureDoors(bench, [[NATIVE_ROWS[2], signet.native.sse]], groups, [0], GAP_MS);
  const cached: [string, Door][] = [
    [NATIVE_ROWS[3], signet.cached.json],
    [NATIVE_ROWS[4], signet.cached.unary],
  ];
  await measureDoors(bench, cached, groups, [0]);
}

/** Measures what would be used instead: DSPy in one process, and FastAPI + DSPy. Nothing is recorded by either. */
export async function measureDspy(context: StageContext, python: string, kind: LmKind): Promise<void> {
  const { bench, modelUrl } = context;
  const suffix = kind === 'engine' ? 'own engine' : "DSPy's client";
  const aloneName = `DSPy alone, ${suffix}`;
  if (bench.wants(aloneName)) {
    const alone = startDspyAlone(python, modelUrl, kind);
    context.onStop(alone.close);
    for (const delayMs of [0, 50]) {
      const { run } = alone;
      await bench.measure({ name: aloneName, inFlight: 32, delayMs, gapMs: 0, groups: { python: [alone.pid] }, run });
    }
    await alone.close();
  }
  const serverName = `FastAPI + DSPy, ${suffix}`;
  if (!bench.wants(serverName)) return;
  const server = await startFastApi(python, modelUrl, kind);
  context.onStop(server.close);
  const body = Buffer.from(JSON.stringify({ inputs: INPUTS })).toString('base64');
  const door: Door = { kind: 'json', address: server.http, path: '/execute', body, headers: {} };
  await measureDoors(bench, [[serverName, door]], { python: [server.pid] }, [0, 50]);
  await server.close();
}

async function measureDoors(
  bench: Bench,
  doors: readonly (readonly [string, Door])[],
  groups: Readonly<Record<string, readonly number[]>>,
  delaysMs: readonly number[],
  gapMs = 0,
): Promise<void> {
  for (const [name, door] of doors) {
    if (!bench.wants(name)) continue;
    // Once per door; a cell's own warm-up is for what its load changes.
    await bench.setModel(0, gapMs);
    await bench.warmDoor(door, 32);
    for (const delayMs of delaysMs) {
      for (const inFlight of IN_FLIGHT) {
        const run = (calls: number, seconds: number) => bench.runDoor(door, calls, seconds);
        await bench.measure({ name, inFlight, delayMs, gapMs, groups, run });
      }
    }
    await sleep(200);
  }
}
