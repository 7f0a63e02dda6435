import { contextFromTraceparent } from '@signet/kit/telemetry/traceparent.ts';
import type { ToolCall, ToolReply } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { ToolCaller } from '../tool/call-tool.ts';
import type { SidecarRun } from './sidecar-run.ts';

/** Calls the tool that an agent asks for. Never throws: a failure is an observation too. */
export async function answerToolCall(tools: ToolCaller, run: SidecarRun, call: ToolCall): Promise<ToolReply> {
  const tool = run.input.tools.get(call.tool);
  if (tool !== undefined && tool.method !== 'GET') run.hasEffects = true;
  const trace = call.traceparent === '' ? run.ctx.trace : contextFromTraceparent(call.traceparent);
  const surroundings = { signal: run.signal, deadlineMs: run.ctx.deadlineMs, trace };
  const observation = await tools.call(tool, call.tool, call.argsJson.toString(), surroundings);
  return { run: call.run, call: call.call, observationJson: Buffer.from(observation) };
}
