import { readFileSync } from 'node:fs';

/** Time of one function or place, in microseconds of the profile. */
export type SpentTime = { readonly name: string; readonly us: number };

/** What a CPU profile says, largest first; idle time is left out. */
export type ProfileSummary = {
  readonly totalUs: number;
  /** Own time by function. */
  readonly functions: readonly SpentTime[];
  /** Own time by package, by file of our own, by part of Node. */
  readonly places: readonly SpentTime[];
  /** Time of our own functions with all that they call before they wait. */
  readonly inclusive: readonly SpentTime[];
};

type Profile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly children?: readonly number[];
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

/** Reads a `.cpuprofile`. */
export function readCpuProfile(path: string): ProfileSummary {
  const profile = JSON.parse(readFileSync(path, 'utf8')) as Profile;
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const own = new Map<number, number>();
  for (const [index, id] of profile.samples.entries()) {
    if (frames.get(id)?.functionName === '(idle)') continue;
    // The time until the next sample belongs to this one.
    own.set(id, (own.get(id) ?? 0) + (profile.timeDeltas[index + 1] ?? 0));
  }
  const functions = new Map<string, number>();
  const places = new Map<string, number>();
  for (const [id, us] of own) {
    const frame = frames.get(id)!;
    const place = placeOf(frame.url, frame.functionName);
    functions.set(nameOf(frame), (functions.get(nameOf(frame)) ?? 0) + us);
    places.set(place, (places.get(place) ?? 0) + us);
  }
  const totalUs = [...own.values()].reduce((sum, us) => sum + us, 0);
  return {
    totalUs,
    functions: sort(functions),
    places: sort(places),
    inclusive: sort(sumInclusive(profile, own)),
  };
}

type Frame = Profile['nodes'][number]['callFrame'];

function nameOf({ url, functionName, lineNumber }: Frame): string {
  return url === '' ? functionName : `${functionName || '(anonymous)'} ${shorten(url)}:${lineNumber + 1}`;
}

function sort(times: ReadonlyMap<string, number>): SpentTime[] {
  return [...times].map(([name, us]) => ({ name, us })).sort((a, b) => b.us - a.us);
}

function sumInclusive(profile: Profile, own: ReadonlyMap<number, number>): Map<string, number> {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const sums = new Map<string, number>();
  // A function that stands on the stack twice is counted where it stands first.
  const walk = (id: number, above: ReadonlySet<string>): number => {
    const node = nodes.get(id)!;
    const { url } = node.callFrame;
    const name = nameOf(node.callFrame);
    const counted = isOurs(url) && !above.has(name);
    const below = counted ? new Set([...above, name]) : above;
    const us = (node.children ?? []).reduce((sum, child) => sum + walk(child, below), own.get(id) ?? 0);
    if (counted) sums.set(name, (sums.get(name) ?? 0) + us);
    return us;
  };
  walk(profile.nodes[0]!.id, new Set());
  return sums;
}

function isOurs(url: string): boolean {
  return !url.includes('/node_modules/') && /\/(?:services|packages)\//.test(url);
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
