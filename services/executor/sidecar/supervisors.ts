import { AppError } from '@signet/kit/error/app-error.ts';
import type {
  ParseCompletionRequest,
  ParseCompletionResponse,
  ProgramDefinition,
  QueryRequest,
  QueryResponse,
  RenderPromptRequest,
  RenderPromptResponse,
  Signature,
  Dialect as WireDialect,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { Dialect } from '../engine/engine.ts';
import type { PoolView } from './pool-view.ts';
import { moduleFailure } from './run-failure.ts';
import { engineUnavailable, type SupervisorCallContext, type SupervisorClient } from './supervisor-client.ts';

/** A program that can be built. */
export type CompiledProgram = {
  readonly dspyProgramId: string;
  readonly dialect: WireDialect | undefined;
  /** The prompt plan; empty if there is none. */
  readonly planJson: string;
  /** Why there is none; empty if there is one. */
  readonly nativeFault: string;
};

/** What a class of the allow-list declares. */
export type DescribedModule = { readonly name: string; readonly signature: Signature };

/** What any supervisor can be asked: the first one that can be reached answers. ENGINE_UNAVAILABLE if none can. */
export type Supervisors = ReturnType<typeof createSupervisors>;

/** Asks the supervisors that a view knows. */
export function createSupervisors(view: PoolView) {
  return {
    /** Whether a program can be built: its opaque name and dialect, or MODULE_INVALID or SIGNATURE_TYPE. */
    async compile(program: ProgramDefinition, ctx: SupervisorCallContext): Promise<CompiledProgram> {
      const compiled = await ask(view, (supervisor) => supervisor.compile(program, ctx), ctx);
      const { dspyProgramId, dialect, error, planJson, planFault } = compiled;
      if (error !== undefined) throw moduleFailure(error);
      return { dspyProgramId, dialect, planJson: planJson.toString('utf8'), nativeFault: planFault };
    },

    /** Lets DSPy write the messages of a predictor. */
    render(request: RenderPromptRequest, ctx: SupervisorCallContext): Promise<RenderPromptResponse> {
      return ask(view, (supervisor) => supervisor.render(request, ctx), ctx);
    },

    /** Lets DSPy of a dialect read a completion; ENGINE_UNAVAILABLE if there is none of it. Undefined means any. */
    parse(
      request: ParseCompletionRequest,
      ctx: SupervisorCallContext,
      dialect?: Dialect,
    ): Promise<ParseCompletionResponse> {
      return ask(view, (supervisor) => supervisor.parse(request, ctx), ctx, dialect);
    },

    /** What the class behind a name of the allow-list declares, or MODULE_INVALID or SIGNATURE_TYPE. */
    async describe(name: string, ctx: SupervisorCallContext): Promise<DescribedModule> {
      const { signature, error, kind } = await ask(view, (supervisor) => supervisor.describe(name, ctx), ctx);
      if (error !== undefined) throw moduleFailure(error).with({ kind });
      return { name, signature: signature ?? { instructions: '', fields: [] } };
    },

    /** Rows of what a sidecar holds; ENGINE_UNAVAILABLE if none answers. */
    query(request: QueryRequest, ctx: SupervisorCallContext): Promise<QueryResponse> {
      return ask(view, (supervisor) => supervisor.query(request, ctx), ctx);
    },
  };
}

async function ask<T>(
  view: PoolView,
  call: (supervisor: SupervisorClient) => Promise<T>,
  ctx: SupervisorCallContext,
  dialect?: Dialect,
): Promise<T> {
  const able = () => (dialect === undefined ? view.supervisors : view.supervisorsOf(dialect));
  if (able().length === 0) await view.poll(0);
  let failure = engineUnavailable();
  for (const supervisor of able()) {
    try {
      return await call(supervisor);
    } catch (error) {
      if (!(error instanceof AppError) || error.reason !== 'ENGINE_UNAVAILABLE') throw error;
      failure = error;
    }
    if (Date.now() >= ctx.deadlineMs) break;
  }
  throw failure;
}
