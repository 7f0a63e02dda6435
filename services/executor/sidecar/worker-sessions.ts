import { type Worker, WorkerState } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { isSolo, type Lane, laneOf } from './lane.ts';
import type { SidecarRun } from './sidecar-run.ts';
import { WorkerSession, type WorkerSessionDeps } from './worker-session.ts';

const reopenMs = 200;
// How many more runs than the least busy worker one may have that is being sent runs anyway.
const aheadMax = 3;

/** What sessions tell of. */
export type WorkerSessionsListener = {
  /** A worker of a lane has room. */
  onRoom(lane: Lane): void;
  /** A worker sent a run back unbegun. */
  onReturned(run: SidecarRun): void;
  /** A session ended some moments ago: another one may be opened. */
  onGone(): void;
};

/** The sessions with workers, one each. */
export class WorkerSessions {
  readonly #deps: WorkerSessionDeps;
  readonly #listener: WorkerSessionsListener;
  readonly #sessions = new Map<string, WorkerSession>();
  readonly #notBefore = new Map<string, number>();
  #turn = 0;
  #last: WorkerSession | undefined;

  constructor(deps: WorkerSessionDeps, listener: WorkerSessionsListener) {
    this.#deps = deps;
    this.#listener = listener;
  }

  /** Runs that workers have. */
  get inFlight(): number {
    let inFlight = 0;
    for (const session of this.#sessions.values()) inFlight += session.inFlight;
    return inFlight;
  }

  /** True if a worker of a lane is there to begin runs. */
  isThere(lane: Lane): boolean {
    for (const session of this.#sessions.values()) if (session.lane === lane && session.isReady) return true;
    return false;
  }

  /** Who takes the next run of a lane: who has the least to do, or nearly. Undefined if nobody has room. */
  choose(lane: Lane): WorkerSession | undefined {
    if (isSolo(lane)) return this.#chooseSolo(lane);
    const sessions = [...this.#sessions.values()];
    this.#turn += 1;
    let best: WorkerSession | undefined;
    for (let at = 0; at < sessions.length; at += 1) {
      // Begins elsewhere each time, so that equals share the work.
      const session = sessions[(at + this.#turn) % sessions.length]!;
      if (session.lane !== lane || !session.hasRoom) continue;
      if (best === undefined || loadOf(session) < loadOf(best)) best = session;
    }
    if (best === undefined) return undefined;
    const last = this.#last;
    if (last?.hasRoom === true && last.lane === lane && loadOf(last) < loadOf(best) + aheadMax) return last;
    if (last === undefined) setImmediate(() => this.#forget());
    this.#last = best;
    return best;
  }

  /** Opens a session with every worker that is ready and has none; the sessions of those that retire get no more runs. */
  open(workers: readonly Worker[]): void {
    const now = performance.now();
    for (const { address, state, lane } of workers) {
      const session = this.#sessions.get(address);
      if (session !== undefined) {
        if (state === WorkerState.WORKER_STATE_DRAINING) session.draining = true;
      } else if (state === WorkerState.WORKER_STATE_READY && now >= (this.#notBefore.get(address) ?? 0)) {
        this.#openSession(address, laneOf(lane));
      }
    }
  }

  /** Sends heartbeats, and gives up workers that are silent. */
  tick(): void {
    for (const session of [...this.#sessions.values()]) session.tick();
  }

  /** Ends every session. */
  close(): void {
    for (const session of [...this.#sessions.values()]) session.close();
  }

  #chooseSolo(lane: Lane): WorkerSession | undefined {
    for (const session of this.#sessions.values()) if (session.lane === lane && session.hasRoom) return session;
    return undefined;
  }

  #forget(): void {
    this.#last = undefined;
  }

  #openSession(address: string, lane: Lane): void {
    const session = new WorkerSession(
      this.#deps,
      { address, lane },
      {
        onRoom: () => this.#listener.onRoom(lane),
        onReturned: (run) => this.#listener.onReturned(run),
        onLost: () => {
          if (this.#sessions.get(address) === session) this.#sessions.delete(address);
          this.#notBefore.set(address, performance.now() + reopenMs);
          // Ports are used again and again; only the recent ones matter.
          if (this.#notBefore.size > 1_000) this.#notBefore.clear();
          setTimeout(() => this.#listener.onGone(), reopenMs).unref();
        },
      },
    );
    this.#sessions.set(address, session);
  }
}

function loadOf(session: WorkerSession): number {
  // A slow one gets nothing while another one has room.
  return session.isSlow ? session.inFlight + 1_000_000 : session.inFlight;
}
