import type { Metadata } from '@grpc/grpc-js';
import type { Address } from '@signet/kit/config/env.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { type Worker, WorkerState } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { resolveAddresses, workerAddress } from './resolve-addresses.ts';
import { SupervisorClient } from './supervisor-client.ts';

const pollTimeoutMs = 5_000;

/** What the supervisors last said. Workers' addresses are those by which we reach them. */
export type PoolSight = { readonly workers: readonly Worker[]; readonly moduleNames: readonly string[] };

/** Knows the supervisors behind the sidecar's address and asks them for their workers. */
export class PoolView {
  readonly #address: Address;
  readonly #metadata: Metadata;
  readonly #log: Logger;
  readonly #supervisors = new Map<string, SupervisorClient>();
  readonly #sights = new Map<string, PoolSight>();
  #polling: Promise<void> | undefined;
  #closed = false;
  #failing = false;

  constructor(deps: { metadata: Metadata; log: Logger }, address: Address) {
    this.#address = address;
    this.#metadata = deps.metadata;
    this.#log = deps.log;
  }

  /** The supervisors, in no order that matters. */
  get supervisors(): readonly SupervisorClient[] {
    return [...this.#supervisors.values()];
  }

  /** Every worker of every supervisor that answered the last poll. */
  get workers(): readonly Worker[] {
    return [...this.#sights.values()].flatMap((sight) => sight.workers);
  }

  /** The names of the allow-list, as the supervisors know them. */
  get moduleNames(): readonly string[] {
    return [...new Set([...this.#sights.values()].flatMap((sight) => sight.moduleNames))];
  }

  /** True if a worker is on its way or there. */
  get hasWorkers(): boolean {
    return this.workers.some(({ state }) => state !== WorkerState.WORKER_STATE_LOST);
  }

  /** Resolves the address afresh and asks every supervisor; polls that overlap are one. Never throws. */
  poll(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = undefined;
    });
    return this.#polling;
  }

  close(): void {
    this.#closed = true;
    for (const supervisor of this.#supervisors.values()) supervisor.close();
  }

  async #poll(): Promise<void> {
    const addresses = await resolveAddresses(this.#address);
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
    await Promise.all(this.supervisors.map((supervisor) => this.#ask(supervisor)));
  }

  async #ask(supervisor: SupervisorClient): Promise<void> {
    const { address } = supervisor;
    try {
      const { workers, moduleNames } = await supervisor.getPool({ deadlineMs: Date.now() + pollTimeoutMs });
      if (!this.#supervisors.has(address)) return;
      const reachable = workers.map((worker) => ({ ...worker, address: workerAddress(worker.address, address) }));
      this.#sights.set(address, { workers: reachable, moduleNames });
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
