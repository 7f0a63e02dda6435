import type { DescEnum } from '@bufbuild/protobuf';

/** Words that people use for a value, by enum; never on the wire. */
const synonyms: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'signet.v1.ProgramStatus': { active: 'ready' },
  'signet.v1.AdapterType': { python: 'python_port' },
};

const cache = new WeakMap<DescEnum, ReadonlyMap<string, number>>();

/** The numbers of an enum by every name that is taken, in lower case: full, short, synonyms. */
export function enumNumbers(desc: DescEnum): ReadonlyMap<string, number> {
  let numbers = cache.get(desc);
  if (numbers === undefined) {
    const made = new Map<string, number>();
    for (const value of desc.values) {
      made.set(value.name.toLowerCase(), value.number);
      made.set(shortName(desc, value.name), value.number);
    }
    for (const [word, short] of Object.entries(synonyms[desc.typeName] ?? {})) made.set(word, made.get(short)!);
    cache.set(desc, made);
    numbers = made;
  }
  return numbers;
}

/** The short lower-case names of an enum, without `unspecified`: what messages suggest. */
export function shortNames(desc: DescEnum): string[] {
  return desc.values.filter((value) => value.number !== 0).map((value) => shortName(desc, value.name));
}

/** The other words that are taken for an enum's values. */
export function synonymsOf(desc: DescEnum): string[] {
  return Object.keys(synonyms[desc.typeName] ?? {});
}

function shortName(desc: DescEnum, name: string): string {
  const lower = name.toLowerCase();
  const prefix = desc.sharedPrefix ?? '';
  return lower.startsWith(prefix) ? lower.slice(prefix.length) : lower;
}
