import type { ProgramStats } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { type Program, ProgramConfiguration } from '@signet/proto/gen/signet/v1/program.ts';
import { type BatchExecuteOptions, type BatchResult, batchExecute } from './batch-execute.ts';
import type { CallOptions } from './channel.grpc.ts';
import type { Execution, ExecutionEvent, ExecutionResult, RunOptions } from './execution.ts';
import type { JsonObject } from './json.ts';
import { toPayload } from './payload.ts';
import type { Many } from './request-stream.ts';
import type { Services } from './services.ts';
import { type AdapterTypeName, fromEvent, fromExecution, fromResult, toAdapterType, toRunFields } from './wire.ts';

/** What a new program is to be. Exactly one of the three ways to name its signature is needed. */
export type NewProgram = {
  readonly name: string;
  readonly slug?: string;
  readonly description?: string;
  /** Id or module of a signature that exists. */
  readonly signature?: string;
  readonly signatureSpec?: string;
  /** A registered signature module. */
  readonly signatureModule?: string;
  /** Default python_port. */
  readonly adapterType?: AdapterTypeName;
  readonly configuration?: Parameters<typeof ProgramConfiguration.fromPartial>[0];
  readonly variables?: JsonObject;
  readonly labels?: Readonly<Record<string, string>>;
  /** Makes repeats one, for 24 h. Default: one that this call makes. */
  readonly requestId?: string;
};

/** A program that is to run a pipeline. */
export type NewPipeline = Pick<
  NewProgram,
  'slug' | 'description' | 'adapterType' | 'variables' | 'labels' | 'requestId'
> & {
  /** Made of the modules' names if absent. */
  readonly name?: string;
  /** Ids or names of registered modules, at least one. */
  readonly modules: readonly string[];
  /** The steps, in the short or the full form. */
  readonly pipelineSpec: object;
};

/** What a run may be told: how to run, how to call, and the id that makes repeats one. */
export type ExecuteOptions = RunOptions & CallOptions & { readonly requestId?: string };

/** The programs of a service, and what can be done with one by its id or slug. Every function throws SignetError. */
export class Programs {
  private readonly services: Services;

  constructor(services: Services) {
    this.services = services;
  }

  /** Makes a program; it is DRAFT. */
  create(program: NewProgram, options?: CallOptions): Promise<Program> {
    const { adapterType, configuration, labels, ...rest } = program;
    const request = {
      ...defined(rest),
      adapterType: toAdapterType(adapterType),
      configuration: configuration === undefined ? undefined : ProgramConfiguration.fromPartial(configuration),
      labels: { ...labels },
    };
    return this.services.programs.createProgram(request, options);
  }

  /** Makes a program with the signature that a text or a typed signature describes. */
  createWithSignature(
    signature: string | { readonly spec: string },
    program: Omit<NewProgram, 'signature' | 'signatureSpec' | 'signatureModule'>,
    options?: CallOptions,
  ): Promise<Program> {
    const signatureSpec = typeof signature === 'string' ? signature : signature.spec;
    return this.create({ ...program, signatureSpec }, options);
  }

  /** Makes a program that runs a pipeline; it is DRAFT. What is wrong with the spec comes as violations, each with its path. */
  compose(pipeline: NewPipeline, options?: CallOptions): Promise<Program> {
    const { adapterType, labels, modules, pipelineSpec, ...rest } = pipeline;
    const request = {
      ...defined(rest),
      adapterType: toAdapterType(adapterType),
      modules: [...modules],
      pipelineSpec: { ...pipelineSpec },
      labels: { ...labels },
    };
    return this.services.programs.composeProgram(request, options);
  }

  /** Prepares a DRAFT program. It comes back READY, or in ERROR with an `errorMessage`. */
  initialize(program: string, options?: CallOptions): Promise<Program> {
    return this.services.runtime.initializeProgram({ program }, options);
  }

  /** Runs a program once and waits for its outputs. */
  async execute(program: string, inputs: object, options: ExecuteOptions = {}): Promise<ExecutionResult> {
    const request = { program, inputs: toPayload(inputs), ...runFields(options) };
    return fromResult(await this.services.runtime.executeProgram(request, options));
  }

  /** Runs a program once and waits, a pipeline above all: it goes on behind the last step that ended, whatever process dies. */
  async run(program: string, inputs: object, options: ExecuteOptions = {}): Promise<ExecutionResult> {
    const request = { program, inputs: toPayload(inputs), ...runFields(options) };
    return fromResult(await this.services.runtime.runProgram(request, options));
  }

  /** Runs a program once and gives its events as they happen: states, text, then the result. Leaving the iteration ends the run. */
  async *stream(
    program: string,
    inputs: object,
    options: RunOptions & CallOptions = {},
  ): AsyncGenerator<ExecutionEvent, void> {
    const request = { program, inputs: toPayload(inputs), ...toRunFields(options) };
    for await (const wire of this.services.runtime.streamProgram(request, options)) {
      const event = fromEvent(wire);
      if (event !== undefined) yield event;
    }
  }

  /** Runs a program over many inputs and gives each result as it is there, in any order; one that fails is a result. */
  batch(program: string, inputs: Many<object>, options?: BatchExecuteOptions): AsyncGenerator<BatchResult, void> {
    return batchExecute(this.services, program, inputs, options);
  }

  /** Starts a run that survives the death of any process, and comes back as soon as it is committed. `timeoutMs` bounds the call alone. */
  async start(program: string, inputs: object, options: ExecuteOptions = {}): Promise<Execution> {
    const request = { program, inputs: toPayload(inputs), ...runFields({ ...options, timeoutMs: undefined }) };
    return fromExecution(await this.services.executions.createExecution(request, options));
  }

  /** Takes a program out of use, for good. */
  archive(program: string, options?: CallOptions): Promise<Program> {
    return this.services.programs.archiveProgram({ program }, options);
  }

  /** The counters of a program, read afresh. */
  getStats(program: string, options?: CallOptions): Promise<ProgramStats> {
    return this.services.executions.getProgramStats({ program }, options);
  }
}

/** The fields of a request that makes an execution, its request_id included. */
export function runFields(options: ExecuteOptions): ReturnType<typeof toRunFields> & { requestId?: string } {
  return { ...toRunFields(options), ...defined({ requestId: options.requestId }) };
}

// What is set to undefined would take the place of a default.
function defined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
