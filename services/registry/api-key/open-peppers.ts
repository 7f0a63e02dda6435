import { newId } from '@signet/kit/id.ts';
import type { Seal } from '../sealing/seal.ts';
import type { PepperStore } from './peppers.postgres.ts';

/** What keys are hashed under: the first for new ones, any for those that are there. */
export type Peppers = readonly [string, ...string[]];

/** What opening the peppers needs. */
export type OpenPeppersDeps = { readonly peppers: PepperStore; readonly seal: Seal };

/**
 * Opens the peppers of API keys; `isLost` says that there were some and none opens. Then, and where there is none yet, the secret keys that
 * are given become peppers: hashes under them may be there from before peppers were kept. A pepper stays when the secret key changes and
 * is sealed anew, and so does each API key.
 */
export async function openPeppers(
  { peppers, seal }: OpenPeppersDeps,
  secretKeys: Peppers,
): Promise<{ readonly opened: Peppers; readonly isLost: boolean }> {
  const kept = await peppers.lockAll();
  const [first, ...others] = kept.flatMap(({ id, sealed }) => seal.open('pepper', id, sealed) ?? []);
  if (first !== undefined) return { opened: [first, ...others], isLost: false };
  for (const secretKey of secretKeys) {
    const id = newId();
    await peppers.add(id, seal.seal('pepper', id, secretKey));
  }
  return { opened: secretKeys, isLost: kept.length > 0 };
}
