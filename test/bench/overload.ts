import { flood, type Overload, overload, type Target } from '../support/overload.ts';
import { type Door, type Signet, startSignet } from './signet.ts';
import type { StageContext } from './stages.ts';

/** Of so many callers those that get most out of the product make its peak. */
const CALLERS = [128, 256, 512] as const;
const LOOK_SECONDS = 3;
/** How many times its peak it is asked for. */
const TIMES = 5;
const WARM_SECONDS = 4;

/** Asks the product for five times its peak over HTTP, for so many seconds, with each engine, and prints what came of it. */
export async function measureOverload(
  context: StageContext,
  python: string | undefined,
  seconds: number,
): Promise<void> {
  const { postgres, modelUrl, onStop } = context;
  const { SIGNET_IN_FLIGHT_MAX } = process.env;
  const nodeEnv = SIGNET_IN_FLIGHT_MAX === undefined ? {} : { SIGNET_IN_FLIGHT_MAX };
  const signet = await startSignet({ databaseUrl: postgres.url, python, lmUrl: modelUrl, nodeEnv });
  onStop(signet.close);
  const rows: [string, Door, delayMs: number][] =
    python === undefined
      ? [['mock', signet.doors.json, 0]]
      : [
          ['Python', signet.doors.json, 50],
          ['native', signet.native.json, 50],
        ];
  for (const [name, door, delayMs] of rows) {
    await context.bench.setModel(delayMs, 0);
    const target = targetOf(door);
    await flood({ ...target, seconds: WARM_SECONDS, pace: { callers: CALLERS[0] } });
    const callers = await callersOfPeak(target);
    const seen = await overload(target, { seconds, callers, times: TIMES, pids: pidsOf(signet) });
    const title = `Signet, ${name}, HTTP, LM ${delayMs} ms, ${callers} callers at the peak`;
    process.stdout.write(`${write(title, seen, seconds)}\n`);
  }
  await signet.close();
}

async function callersOfPeak(target: Target): Promise<number> {
  const found: { readonly callers: number; readonly perSecond: number }[] = [];
  for (const callers of CALLERS) {
    const { goodPerSecond } = await flood({ ...target, seconds: LOOK_SECONDS, pace: { callers } });
    found.push({ callers, perSecond: goodPerSecond });
  }
  return found.toSorted((a, b) => b.perSecond - a.perSecond)[0]!.callers;
}

function targetOf({ address, path, headers, body }: Door): Target {
  const key = (headers.authorization ?? '').replace(/^Bearer /, '');
  return { address, path, key, body: Buffer.from(body, 'base64').toString() };
}

function pidsOf({ pids }: Signet): Record<string, number> {
  return Object.fromEntries(Object.entries(pids).map(([name, [pid = 0]]) => [name, pid]));
}

function write(
  title: string,
  { peak, before, after, flood: under, share, memoryMb }: Overload,
  seconds: number,
): string {
  const memory = Object.entries(memoryMb).map(([name, figures]) => `${name} ${figures.join(' / ')}`);
  const ms = ({ p50Ms, p99Ms }: { p50Ms: number; p99Ms: number }): string =>
    `${p50Ms.toFixed(0)} / ${p99Ms.toFixed(0)}`;
  return [
    `\n${title}, then ${TIMES} times as much for ${seconds} s`,
    `  peak ${peak.goodPerSecond.toFixed(0)}/s · asked ${under.sentPerSecond.toFixed(0)}/s · done ${under.goodPerSecond.toFixed(0)}/s = ${(share * 100).toFixed(0)} % of the peak`,
    `  answers ${JSON.stringify(under.counts)} · not sent ${under.unsent} · refusals without RetryInfo ${under.withoutRetry}`,
    `  p50 / p99 ms: peak ${ms(peak.good)} · done ${ms(under.good)} · refused ${ms(under.refused)} · four callers before ${ms(before.good)}, after ${ms(after.good)}`,
    `  cores taken by who asks: at the peak ${peak.cores.toFixed(2)}, then ${under.cores.toFixed(2)}`,
    `  resident MB before / most / after: ${memory.join(' · ')}`,
  ].join('\n');
}
