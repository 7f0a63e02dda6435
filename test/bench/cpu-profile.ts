import { readFileSync } from 'node:fs';

/** Self time of one function or place, in microseconds. */
export type SelfTime = { readonly name: string; readonly selfUs: number };

/** What a CPU profile says, largest first; idle time is left out. */
export type ProfileSummary = {
  readonly totalUs: number;
  readonly functions: readonly SelfTime[];
  /** By package, by file of our own, by Node's own code. */
  readonly places: readonly SelfTime[];
};

type Profile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

/** Reads a `.cpuprofile`. */
export function readCpuProfile(path: string): ProfileSummary {
  const profile = JSON.parse(readFileSync(path, 'utf8')) as Profile;
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const functions = new Map<string, number>();
  const places = new Map<string, number>();
  let totalUs = 0;
  for (const [index, id] of profile.samples.entries()) {
    const frame = frames.get(id);
    // Time until the next sample belongs to this one.
    const us = profile.timeDeltas[index + 1] ?? 0;
    if (frame === undefined || frame.functionName === '(idle)') continue;
    const place = placeOf(frame.url, frame.functionName);
    const name =
      frame.url === ''
        ? frame.functionName
        : `${frame.functionName || '(anonymous)'} ${shorten(frame.url)}:${frame.lineNumber + 1}`;
    functions.set(name, (functions.get(name) ?? 0) + us);
    places.set(place, (places.get(place) ?? 0) + us);
    totalUs += us;
  }
  const sorted = (times: Map<string, number>): SelfTime[] =>
    [...times].map(([name, selfUs]) => ({ name, selfUs })).sort((a, b) => b.selfUs - a.selfUs);
  return { totalUs, functions: sorted(functions), places: sorted(places) };
}

function placeOf(url: string, functionName: string): string {
  if (url.startsWith('node:')) return `node: ${url.replace(/^node:(?:internal\/)?/, '').split('/')[0]}`;
  if (url === '') return functionName === '(garbage collector)' ? functionName : '(native code)';
  return packageOf(url) ?? shorten(url);
}

function packageOf(url: string): string | undefined {
  return /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1];
}

function shorten(url: string): string {
  const inPackage = /.*\/node_modules\/(.*)$/.exec(url)?.[1];
  return inPackage ?? /\/((?:services|packages|proto|test)\/.*)$/.exec(url)?.[1] ?? url;
}
