// A load generator in a process of its own: takes jobs over the IPC channel, one after another, and ends when that closes.
import { createGrpcCaller } from './call-grpc.ts';
import { createHttpCaller } from './call-http.ts';
import type { Caller, LoadJob, LoadReport } from './job.ts';

const DRAIN_MAX_MS = 60_000;

async function runJob(job: LoadJob): Promise<LoadReport> {
  const caller = job.kind === 'json' || job.kind === 'sse' ? createHttpCaller(job) : createGrpcCaller(job);
  try {
    return await keepInFlight(caller, job);
  } finally {
    await caller.close();
  }
}

async function keepInFlight(caller: Caller, job: LoadJob): Promise<LoadReport> {
  const times: number[] = [];
  const firstTokens: number[] = [];
  let tokens = 0;
  let begunCalls = 0;
  let failures = 0;
  let failure: string | undefined;
  const begun = performance.now();
  const end = begun + job.seconds * 1000;
  const lane = async (): Promise<void> => {
    while (performance.now() < end && begunCalls < job.callMax) {
      begunCalls++;
      const at = performance.now();
      try {
        const outcome = await caller.call();
        times.push(performance.now() - at);
        if (outcome.firstTokenMs !== undefined) firstTokens.push(outcome.firstTokenMs);
        tokens += outcome.tokens ?? 0;
      } catch (error) {
        failures++;
        failure ??= error instanceof Error ? error.message : String(error);
        // A door that refuses at once is not to be hammered.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  await Promise.race([
    Promise.all(Array.from({ length: job.inFlight }, lane)),
    new Promise((resolve) => setTimeout(resolve, job.seconds * 1000 + DRAIN_MAX_MS).unref()),
  ]);
  const elapsedMs = performance.now() - begun;
  const streaming = firstTokens.length > 0;
  return {
    ...{ calls: times.length, failures, failure, elapsedMs },
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    firstTokenP50Ms: streaming ? quantile(firstTokens, 0.5) : undefined,
    firstTokenP99Ms: streaming ? quantile(firstTokens, 0.99) : undefined,
    tokensPerCall: streaming ? tokens / times.length : undefined,
  };
}

function quantile(values: number[], q: number): number {
  const sorted = values.sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}

process.on('message', (job: LoadJob) => {
  runJob(job).then(
    (report) => process.send?.(report),
    (error) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
