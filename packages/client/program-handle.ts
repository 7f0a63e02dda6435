import type { ProgramStats } from '@signet/proto/gen/signet/v1/execution_service.ts';
import type { Program } from '@signet/proto/gen/signet/v1/program.ts';
import type { BatchExecuteOptions, BatchResult } from './batch-execute.ts';
import type { CallOptions } from './channel.grpc.ts';
import type { Execution, ExecutionEvent, ExecutionResult, RunOptions } from './execution.ts';
import type { JsonObject } from './json.ts';
import type { ExecuteOptions, Programs } from './programs.ts';
import type { Many } from './request-stream.ts';

/** One program by its id or slug, whose inputs and outputs TypeScript knows where a signature was given. */
export class ProgramHandle<Inputs extends object = JsonObject, Outputs = JsonObject> {
  /** Id or slug. */
  readonly program: string;
  private readonly programs: Programs;

  constructor(programs: Programs, program: string) {
    this.programs = programs;
    this.program = program;
  }

  /** Prepares it. It comes back READY, or in ERROR with an `errorMessage`. */
  initialize(options?: CallOptions): Promise<Program> {
    return this.programs.initialize(this.program, options);
  }

  /** Runs it once and waits for its outputs. */
  execute(inputs: Inputs, options?: ExecuteOptions): Promise<ExecutionResult<Outputs>> {
    return this.programs.execute(this.program, inputs, options) as Promise<ExecutionResult<Outputs>>;
  }

  /** Runs it once and gives its events as they happen. Leaving the iteration ends the run. */
  stream(inputs: Inputs, options?: RunOptions & CallOptions): AsyncGenerator<ExecutionEvent<Outputs>, void> {
    return this.programs.stream(this.program, inputs, options) as AsyncGenerator<ExecutionEvent<Outputs>, void>;
  }

  /** Runs it over many inputs and gives each result as it is there, in any order; one that fails is a result. */
  batch(inputs: Many<Inputs>, options?: BatchExecuteOptions): AsyncGenerator<BatchResult<Outputs>, void> {
    return this.programs.batch(this.program, inputs, options) as AsyncGenerator<BatchResult<Outputs>, void>;
  }

  /** Starts a run that nobody waits for. */
  start(inputs: Inputs, options?: ExecuteOptions): Promise<Execution<Inputs, Outputs>> {
    return this.programs.start(this.program, inputs, options) as Promise<Execution<Inputs, Outputs>>;
  }

  /** Takes it out of use, for good. */
  archive(options?: CallOptions): Promise<Program> {
    return this.programs.archive(this.program, options);
  }

  /** Its counters, read afresh. */
  getStats(options?: CallOptions): Promise<ProgramStats> {
    return this.programs.getStats(this.program, options);
  }
}
