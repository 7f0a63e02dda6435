import { type ClientUnaryCall, credentials, type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { AppError } from '@signet/kit/error/app-error.ts';
import { channelOptions } from '@signet/kit/grpc/server.ts';
import { fromServiceError } from '@signet/kit/grpc/status.ts';
import {
  type CompileProgramResponse,
  type DescribeModuleResponse,
  type EndOptimizationResponse,
  type GetPoolResponse,
  type ParseCompletionRequest,
  type ParseCompletionResponse,
  type ProgramDefinition,
  type QueryRequest,
  type QueryResponse,
  type RenderPromptRequest,
  type RenderPromptResponse,
  SidecarServiceClient,
  type StartOptimizationResponse,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

type Callback<T> = (error: ServiceError | null, response: T) => void;

/** What bounds one call to a supervisor. */
export type SupervisorCallContext = { readonly signal?: AbortSignal; readonly deadlineMs: number };

/** The supervisor behind one address of the sidecar. A sidecar that cannot be reached is ENGINE_UNAVAILABLE. */
export class SupervisorClient {
  /** `host:port`. */
  readonly address: string;
  readonly #client: SidecarServiceClient;
  readonly #metadata: Metadata;

  constructor(address: string, metadata: Metadata) {
    this.address = address;
    this.#metadata = metadata;
    this.#client = new SidecarServiceClient(address, credentials.createInsecure(), {
      ...channelOptions,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  /** The workers as they are now; `soloWaiting` runs of ours wait for a solo one. */
  getPool(soloWaiting: number, ctx: SupervisorCallContext): Promise<GetPoolResponse> {
    const options = { deadline: ctx.deadlineMs };
    return call(ctx, (done: Callback<GetPoolResponse>) =>
      this.#client.getPool({ soloWaiting }, this.#metadata, options, done),
    );
  }

  /** Whether a program can be built, and under which dialect. */
  compile(program: ProgramDefinition, ctx: SupervisorCallContext): Promise<CompileProgramResponse> {
    const options = { deadline: ctx.deadlineMs };
    return call(ctx, (done: Callback<CompileProgramResponse>) =>
      this.#client.compileProgram({ program }, this.#metadata, options, done),
    );
  }

  /** How DSPy writes the messages of a predictor. */
  render(request: RenderPromptRequest, ctx: SupervisorCallContext): Promise<RenderPromptResponse> {
    const options = { deadline: ctx.deadlineMs };
    return call(ctx, (done: Callback<RenderPromptResponse>) =>
      this.#client.renderPrompt(request, this.#metadata, options, done),
    );
  }

  /** How DSPy reads a completion. */
  parse(request: ParseCompletionRequest, ctx: SupervisorCallContext): Promise<ParseCompletionResponse> {
    const options = { deadline: ctx.deadlineMs };
    return call(ctx, (done: Callback<ParseCompletionResponse>) =>
      this.#client.parseCompletion(request, this.#metadata, options, done),
    );
  }

  /** What the class behind a name of the allow-list declares. */
  describe(name: string, ctx: SupervisorCallContext): Promise<DescribeModuleResponse> {
    const options = { deadline: ctx.deadlineMs };
    return call(ctx, (done: Callback<DescribeModuleResponse>) =>
      this.#client.describeModule({ name }, this.#metadata, options, done),
    );
  }

  /** Rows of what the sidecar holds. */
  query(request: QueryRequest, ctx: SupervisorCallContext): Promise<QueryResponse> {
    const options = { deadline: ctx.deadlineMs };
    return call(ctx, (done: Callback<QueryResponse>) => this.#client.query(request, this.#metadata, options, done));
  }

  /** Starts a process of its own for a job; one of the same job that is there already is ended. QUEUE_FULL if it takes no more. */
  async startOptimization(job: string, ctx: SupervisorCallContext): Promise<StartOptimizationResponse> {
    const options = { deadline: ctx.deadlineMs };
    try {
      return await call(ctx, (done: Callback<StartOptimizationResponse>) =>
        this.#client.startOptimization({ job, memoryBytes: 0n }, this.#metadata, options, done),
      );
    } catch (error) {
      const { code } = ((error as AppError).cause ?? {}) as Partial<ServiceError>;
      if (code !== status.RESOURCE_EXHAUSTED) throw error;
      throw new AppError('QUEUE_FULL', 'The sidecar runs as many optimizers as it takes', { cause: error });
    }
  }

  /** Ends the process of a job by force. */
  async endOptimization(job: string, deadlineMs: number): Promise<void> {
    await call({ deadlineMs }, (done: Callback<EndOptimizationResponse>) =>
      this.#client.endOptimization({ job }, this.#metadata, { deadline: deadlineMs }, done),
    );
  }

  close(): void {
    this.#client.close();
  }
}

function call<T>(ctx: SupervisorCallContext, start: (done: Callback<T>) => ClientUnaryCall): Promise<T> {
  return new Promise((resolve, reject) => {
    const unary = start((error, response) => {
      ctx.signal?.removeEventListener('abort', abort);
      if (error === null) resolve(response);
      else reject(failureOf(error, ctx));
    });
    const abort = (): void => unary.cancel();
    ctx.signal?.addEventListener('abort', abort);
    if (ctx.signal?.aborted === true) abort();
  });
}

function failureOf(error: ServiceError, ctx: SupervisorCallContext): AppError {
  if (ctx.signal?.aborted === true && ctx.signal.reason instanceof AppError) return ctx.signal.reason;
  if (error.code === status.UNAVAILABLE || error.code === status.UNAUTHENTICATED) return engineUnavailable(error);
  return fromServiceError(error, 'sidecar');
}

/** Nothing is there to run Python. */
export function engineUnavailable(cause?: unknown): AppError {
  return new AppError('ENGINE_UNAVAILABLE', 'The Python engine is not available', { cause, retryAfterMs: 1000 });
}
