import { Lane as WireLane } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

/** Which runs a worker takes: many at once or one, on the sidecar's machine or on a cluster. */
export type Lane = 'shared' | 'solo' | 'bulk' | 'bulk_solo';

/** Every lane. */
export const lanes: readonly Lane[] = ['shared', 'solo', 'bulk', 'bulk_solo'];

/** The lane of a worker that a supervisor names. */
export function laneOf(wire: WireLane): Lane {
  if (wire === WireLane.LANE_SOLO) return 'solo';
  if (wire === WireLane.LANE_BULK) return 'bulk';
  return wire === WireLane.LANE_BULK_SOLO ? 'bulk_solo' : 'shared';
}

/** True if its workers take one run at a time. */
export function isSolo(lane: Lane): boolean {
  return lane === 'solo' || lane === 'bulk_solo';
}

const userPrefixes = ['python:', 'python_metric:', 'call:'];

// They execute code of a user or of a model; all others only wait for the model and for tools.
const alone = new Set(['best_of_n', 'refine', 'program_of_thought']);

/** True if runs of a module take a worker of their own; `sharedNames` are the names of the allow-list that need not. */
export function runsAlone(module: string, sharedNames: readonly string[]): boolean {
  const prefix = userPrefixes.find((each) => module.startsWith(each));
  if (prefix !== undefined) return !sharedNames.includes(module.slice(prefix.length));
  return alone.has(module);
}
