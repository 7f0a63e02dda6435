import type { CallOptions } from './channel.grpc.ts';
import type { Execution, ExecutionEvent } from './execution.ts';
import type { Services } from './services.ts';
import { watchExecution } from './watch.ts';
import { fromExecution } from './wire.ts';

const WAIT_STEP_MS = 30_000;

/** The executions of a service. Every function throws SignetError; one that failed is no error here, it has an `error`. */
export class Executions {
  private readonly services: Services;

  constructor(services: Services) {
    this.services = services;
  }

  /** Reads one. */
  async get(execution: string, options?: CallOptions): Promise<Execution> {
    return fromExecution(await this.services.executions.getExecution({ execution }, options));
  }

  /** Waits until one has ended and gives it; as it then stands, if `timeoutMs` (default 60,000) passes before. */
  async wait(execution: string, options: CallOptions = {}): Promise<Execution> {
    const endMs = Date.now() + (options.timeoutMs ?? 60_000);
    for (;;) {
      const leftMs = Math.max(1, Math.min(endMs - Date.now(), WAIT_STEP_MS));
      const request = { execution, timeoutMs: BigInt(Math.ceil(leftMs)) };
      const call = { ...options, timeoutMs: leftMs + 10_000 };
      const found = fromExecution(await this.services.executions.waitExecution(request, call));
      const isOver = found.status !== 'pending' && found.status !== 'running';
      if (isOver || Date.now() >= endMs) return found;
    }
  }

  /** Its events until it has ended; a lost connection is opened again where it broke. */
  watch(
    execution: string,
    options?: CallOptions & { readonly afterSequence?: number },
  ): AsyncGenerator<ExecutionEvent, void> {
    return watchExecution(this.services, execution, options);
  }

  /** Ends one early; one that has ended comes back as it is. */
  async cancel(execution: string, options?: CallOptions): Promise<Execution> {
    return fromExecution(await this.services.executions.cancelExecution({ execution }, options));
  }

  /** Runs the inputs of one that has ended again, detached. */
  async retry(execution: string, options?: CallOptions): Promise<Execution> {
    return fromExecution(await this.services.executions.retryExecution({ execution }, options));
  }
}
