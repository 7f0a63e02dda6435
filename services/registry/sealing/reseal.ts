import type { Seal } from './seal.ts';
import type { SealedRows } from './sealed-rows.postgres.ts';

/** What sealing anew needs. */
export type ResealDeps = { readonly rows: SealedRows; readonly seal: Seal };

/** How many values were sealed anew, and how many credentials no secret key opens that is known here. */
export type Resealed = { readonly resealed: number; readonly unopened: number };

/**
 * Seals with the present secret key what another one sealed: row by row, so that whoever is killed on the way or meets another who does
 * the same leaves each row sealed by a key that both know. What does not open stays as it is.
 */
export async function reseal({ rows, seal }: ResealDeps): Promise<Resealed> {
  let resealed = 0;
  let unopened = 0;
  for (const row of await rows.sealedByOthers(seal.keyId)) {
    const text = seal.open(row.kind, row.id, row.sealed);
    if (text !== undefined) resealed += (await rows.replace(row, seal.seal(row.kind, row.id, text))) ? 1 : 0;
    // A start with a key given by mistake leaves a pepper of its own behind, which nobody misses.
    else if (row.kind === 'language-model') unopened++;
  }
  return { resealed, unopened };
}
