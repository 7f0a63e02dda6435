import type { Metadata } from '@grpc/grpc-js';
import type { Address } from '@signet/kit/config/env.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { type Dialect as WireDialect, type Worker, WorkerState } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { Dialect } from '../engine/engine.ts';
import { isSameDialect } from '../native/dialect.ts';
import { resolveAddresses, workerAddress } from './resolve-addresses.ts';
import { SupervisorClient } from './supervisor-client.ts';

const pollTimeoutMs = 5_000;

/** What the supervisors last said. Workers' addresses are those by which we reach them. */
export type PoolSight = {
  readonly workers: readonly Worker[];
  readonly moduleNames: readonly string[];
  readonly sharedModuleNames: readonly string[];
  readonly totals: PoolTotals;
  readonly dialect: Dialect;
};

/** What happened to workers since their sidecars began. */
export type PoolTotals = { readonly restarts: number; readonly recycled: number; readonly lost: number };

/** Knows the supervisors behind the sidecar's address and asks them for their workers. */
export class PoolView {
  readonly #addresses: readonly Address[];
  readonly #metadata: Metadata;
  readonly #log: Logger;
  readonly #supervisors = new Map<string, SupervisorClient>();
  readonly #sights = new Map<string, PoolSight>();
  #polling: Promise<void> | undefined;
  #closed = false;
  #failing = false;
  #sharedNames: readonly string[] = [];
  #dialects: readonly Dialect[] = [];

  constructor(deps: { metadata: Metadata; log: Logger }, addresses: readonly Address[]) {
    this.#addresses = addresses;
    this.#metadata = deps.metadata;
    this.#log = deps.log;
  }

  /** The supervisors, in no order that matters. */
  get supervisors(): readonly SupervisorClient[] {
    return [...this.#supervisors.values()];
  }

  /** Those that said at the last poll that their workers are of this dialect. */
  supervisorsOf(dialect: Dialect): readonly SupervisorClient[] {
    return this.supervisors.filter(({ address }) => {
      const sight = this.#sights.get(address);
      return sight !== undefined && isSameDialect(sight.dialect, dialect);
    });
  }

  /** Every dialect that the supervisors named at the last poll, each once; the same object until they change. */
  get dialects(): readonly Dialect[] {
    return this.#dialects;
  }

  /** True if a supervisor answered the last poll. */
  get answers(): boolean {
    return this.#sights.size > 0;
  }

  /** Every worker of every supervisor that answered the last poll. */
  get workers(): readonly Worker[] {
    return [...this.#sights.values()].flatMap((sight) => sight.workers);
  }

  /** The names of the allow-list, as the supervisors know them. */
  get moduleNames(): readonly string[] {
    return [...new Set([...this.#sights.values()].flatMap((sight) => sight.moduleNames))];
  }

  /** The names of the allow-list whose modules may share a worker, as every supervisor that knows them says. */
  get sharedModuleNames(): readonly string[] {
    return this.#sharedNames;
  }

  /** What happened to workers, of all supervisors together. */
  get totals(): PoolTotals {
    const sum = { restarts: 0, recycled: 0, lost: 0 };
    for (const { totals } of this.#sights.values()) {
      sum.restarts += totals.restarts;
      sum.recycled += totals.recycled;
      sum.lost += totals.lost;
    }
    return sum;
  }

  /** True if a worker is on its way or there. */
  get hasWorkers(): boolean {
    return this.workers.some(({ state }) => state !== WorkerState.WORKER_STATE_LOST);
  }

  /** Resolves the addresses afresh and asks every supervisor, saying how many runs wait for a solo worker; polls that overlap are one. Never throws. */
  poll(soloWaiting: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#polling ??= this.#poll(soloWaiting).finally(() => {
      this.#polling = undefined;
    });
    return this.#polling;
  }

  close(): void {
    this.#closed = true;
    for (const supervisor of this.#supervisors.values()) supervisor.close();
  }

  async #poll(soloWaiting: number): Promise<void> {
    const addresses = await resolveAddresses(this.#addresses);
    if (this.#closed) return;
    for (const [address, supervisor] of this.#supervisors) {
      if (addresses.includes(address)) continue;
      supervisor.close();
      this.#supervisors.delete(address);
      this.#sights.delete(address);
    }
    for (const address of addresses) {
      if (!this.#supervisors.has(address))
        this.#supervisors.set(address, new SupervisorClient(address, this.#metadata));
    }
    // Each is asked for its part, rounded up: too many solo workers end by themselves.
    const part = Math.ceil(soloWaiting / Math.max(1, this.#supervisors.size));
    await Promise.all(this.supervisors.map((supervisor) => this.#ask(supervisor, part)));
    const sights = [...this.#sights.values()];
    const dialects = distinct(sights.map(({ dialect }) => dialect));
    if (JSON.stringify(dialects) !== JSON.stringify(this.#dialects)) this.#dialects = dialects;
    this.#sharedNames = [...new Set(sights.flatMap((sight) => sight.sharedModuleNames))].filter((name) =>
      sights.every((sight) => !sight.moduleNames.includes(name) || sight.sharedModuleNames.includes(name)),
    );
  }

  async #ask(supervisor: SupervisorClient, soloWaiting: number): Promise<void> {
    const { address } = supervisor;
    try {
      const pool = await supervisor.getPool(soloWaiting, { deadlineMs: Date.now() + pollTimeoutMs });
      const { workers, moduleNames, sharedModuleNames } = pool;
      const totals = { restarts: Number(pool.restarts), recycled: Number(pool.recycled), lost: Number(pool.lost) };
      const dialect = dialectOf(pool.dialect);
      if (!this.#supervisors.has(address)) return;
      const reachable = workers.map((worker) => ({ ...worker, address: workerAddress(worker.address, address) }));
      this.#sights.set(address, { workers: reachable, moduleNames, sharedModuleNames, totals, dialect });
      this.#failing = false;
    } catch (error) {
      this.#sights.delete(address);
      // Once, not every second.
      const why = error instanceof Error ? String(error.cause ?? error) : String(error);
      if (!this.#failing && !this.#closed) this.#log.warn({ address, why }, 'the sidecar does not answer');
      this.#failing = true;
    }
  }
}

/** A dialect as supervisors and workers tell it. */
export function dialectOf(dialect: WireDialect | undefined): Dialect {
  const { dspy = '', jsonRepair = '', pydantic = '', python = '' } = dialect ?? {};
  return { dspy, json_repair: jsonRepair, pydantic, python };
}

function distinct(dialects: readonly Dialect[]): readonly Dialect[] {
  const named = dialects.filter(({ dspy }) => dspy !== '');
  return named.filter((dialect, at) => named.findIndex((other) => isSameDialect(other, dialect)) === at);
}
