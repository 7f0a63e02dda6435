import { isId } from '@signet/kit/id.ts';

const form = /^[a-z][a-z0-9-]{0,62}$/;
// Room for `-` and the number that tells two of one name apart.
const derivedMax = 52;

/** True if a text may be a slug: its form is right and no id looks like it. */
export function isSlug(text: string): boolean {
  return form.test(text) && !isId(text);
}

/** Makes a slug out of a name: letters without their marks, everything else a dash; `fallback` where nothing is left. */
export function deriveSlug(name: string, fallback = 'program'): string {
  const plain = name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[-0-9]+/, '')
    .slice(0, derivedMax)
    .replace(/-+$/, '');
  return isSlug(plain) ? plain : fallback;
}
