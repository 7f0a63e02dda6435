import type { CallContext } from '@signet/kit/call-context.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import { ExecutionOptions, type ExecutionResult } from '@signet/proto/gen/signet/v1/execution.ts';
import { Program } from '@signet/proto/gen/signet/v1/program.ts';
import type {
  ExecuteProgramRequest,
  RuntimeServiceService,
  StreamProgramRequest,
} from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { type BatchExecuteDeps, batchExecute } from '../batch/batch-execute.ts';
import { fromBatchRequests, toWireOutcome } from '../batch/execute-wire.ts';
import { answerOnce } from '../execution/answer-once.ts';
import { type CreateDeps, createExecution } from '../execution/create-execution.ts';
import { fromOptions } from '../execution/options-wire.ts';
import {
  fromPayload,
  type PayloadKind,
  resultOfExecution,
  toWireLiveEvent,
  toWirePrompt,
  toWireResult,
} from '../execution/wire.ts';
import type { GateDeps } from '../serving/promotion-gate.ts';
import type { ExecuteInput } from './call-input.ts';
import { type CheckDeps, checkLanguageModel } from './check-language-model.ts';
import { toWireCheck } from './check-wire.ts';
import { executeModule, findModuleProgram, type ModuleDeps } from './execute-module.ts';
import { executeProgram } from './execute-program.ts';
import { initializeProgram } from './initialize-program.ts';
import { planCall } from './plan-call.ts';
import { promoteProgramVersion } from './promote-program-version.ts';
import { type QuickDeps, quickExecute } from './quick-execute.ts';
import { renderPrompt } from './render-prompt.ts';
import { streamProgram } from './stream-program.ts';

/** What the handlers of RuntimeService need. */
export type RuntimeDeps = ModuleDeps & QuickDeps & CreateDeps & CheckDeps & GateDeps;

/** The handlers of RuntimeService. */
export function runtimeHandlers(deps: RuntimeDeps): Handlers<typeof RuntimeServiceService> {
  return {
    async initializeProgram({ program, requestId }, ctx) {
      const call = { method: 'InitializeProgram', requestId, request: program, codec: Program, ctx };
      return answerOnce(deps, call, () => initializeProgram(deps, program, ctx));
    },
    async promoteProgramVersion({ requestId, ...request }, ctx) {
      const call = { method: 'PromoteProgramVersion', requestId, request, codec: Program, ctx };
      return answerOnce(deps, call, () => promoteProgramVersion(deps, request, ctx));
    },
    async executeProgram(request, ctx) {
      const { input, kind } = fromExecute(request, request.requestId);
      if (prefersAsync(ctx)) return respondAsync(deps, input, kind, ctx);
      return toWireResult(await executeProgram(deps, input, ctx), kind);
    },
    async runProgram(request, ctx) {
      const { input, kind } = fromExecute(request, request.requestId);
      return toWireResult(await executeProgram(deps, input, ctx, 'RunProgram'), kind);
    },
    async *streamProgram(request, ctx) {
      const { input, kind } = fromExecute(request, '');
      for await (const item of streamProgram(deps, input, ctx)) {
        if (item.kind === 'event') {
          yield toWireLiveEvent(item.event, item.executionId);
        } else {
          const { executionId, sequence, result } = item;
          const event = { $case: 'result' as const, value: toWireResult(result, kind) };
          yield { sequence: BigInt(sequence), executionId, event };
        }
      }
    },
    async *batchExecuteProgram(requests, ctx) {
      const input = await fromBatchRequests(requests);
      for await (const outcome of batchExecute(attachedBatch(deps), input, ctx)) yield toWireOutcome(outcome, ctx);
    },
    async renderPrompt({ program, inputs, version, engine }, ctx) {
      const { engine: asked } = fromOptions(ExecutionOptions.fromPartial({ engine }));
      const input = { program, inputs: fromPayload(inputs, 'inputs').given, version, engine: asked };
      return toWirePrompt(await renderPrompt(deps, input, ctx));
    },
    async checkLanguageModel({ languageModel, timeoutMs }, ctx) {
      const input = { languageModel, timeoutMs: Number(timeoutMs) };
      return toWireCheck(await checkLanguageModel(deps, input, ctx));
    },
    async executeModule(request, ctx) {
      const { module } = request;
      const { input, kind } = fromExecute({ ...request, program: '' }, request.requestId);
      if (prefersAsync(ctx)) {
        const program = await findModuleProgram(deps, { module, options: input.options }, ctx);
        return respondAsync(deps, { ...input, program }, kind, ctx);
      }
      return toWireResult(await executeModule(deps, { ...input, module }, ctx), kind);
    },
    async quickExecute(request, ctx) {
      const { given, kind } = fromPayload(request.inputs, 'inputs');
      const input = {
        spec: request.signatureSpec,
        module: request.signatureModule,
        inputs: given,
        options: fromOptions(request.executionOptions),
        labels: {},
        metadata: undefined,
        requestId: request.requestId,
      };
      return toWireResult(await quickExecute(deps, input, ctx), kind);
    },
  };
}

function attachedBatch(deps: RuntimeDeps): BatchExecuteDeps {
  const nothing = { metadata: undefined, requestId: '' };
  return {
    plan: async (asked, ctx) => (await planCall(deps, { ...asked, ...nothing }, ctx)).program.version,
    execute: (asked, inputs, ctx) => executeProgram(deps, { ...asked, ...nothing, inputs }, ctx),
  };
}

async function respondAsync(
  deps: RuntimeDeps,
  input: ExecuteInput,
  kind: PayloadKind,
  ctx: CallContext,
): Promise<ExecutionResult> {
  const execution = await createExecution(deps, input, ctx, 'ExecuteProgram');
  ctx.reply('signet-http-status', '202');
  ctx.reply('location', `/v1/executions/${execution.id}`);
  return toWireResult(resultOfExecution(execution), kind);
}

function fromExecute(
  request: Omit<ExecuteProgramRequest, 'requestId'> | StreamProgramRequest,
  requestId: string,
): { input: ExecuteInput; kind: PayloadKind } {
  const { given, kind } = fromPayload(request.inputs, 'inputs');
  const { program, labels, metadata } = request;
  const options = fromOptions(request.executionOptions);
  return { input: { program, inputs: given, options, labels, metadata, requestId }, kind };
}

function prefersAsync(ctx: CallContext): boolean {
  const prefer = ctx.header('prefer');
  return prefer?.split(',').some((preference) => preference.trim().toLowerCase() === 'respond-async') ?? false;
}
