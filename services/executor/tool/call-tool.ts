import { type Context, SpanKind, type Tracer } from '@opentelemetry/api';
import { createGuardedAgent } from '@signet/kit/net/guarded-agent.ts';
import { urlFault } from '@signet/kit/net/private-address.ts';
import { endSpan } from '@signet/kit/telemetry/span.ts';
import { traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import { isObject, type JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { Agent, type Dispatcher, request } from 'undici';
import { argsFault, type Tool } from './tool.ts';

const replyBytesMax = 1_048_576;
const quotedMax = 500;

/** What surrounds one call of a tool. */
export type ToolCallContext = {
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly deadlineMs: number;
  readonly trace: Context;
};

/** Calls the tools of agents. */
export type ToolCaller = {
  /**
   * Calls a tool once and gives what the model is to be shown, as JSON text: the reply if it is JSON, else its text. Whatever goes wrong
   * (unknown tool, arguments that do not fit, a forbidden address, a status from 300 on, too long a reply, too late) is an observation too,
   * `Execution error in NAME: …`. Never throws.
   */
  call(tool: Tool | undefined, name: string, argsJson: string, ctx: ToolCallContext): Promise<string>;
  close(): Promise<void>;
};

/** Makes a caller. Tools stand at public addresses, unless private ones are allowed; redirects are never followed. */
export function createToolCaller(deps: { readonly tracer: Tracer }, options: { allowPrivate: boolean }): ToolCaller {
  const settings: Agent.Options = { connections: 64, connectTimeout: 5_000, keepAliveTimeout: 10_000 };
  const agent = options.allowPrivate ? new Agent(settings) : createGuardedAgent(settings);
  return {
    async call(tool, name, argsJson, ctx) {
      const span = deps.tracer.startSpan(`execute_tool ${name.slice(0, 64)}`, { kind: SpanKind.CLIENT }, ctx.trace);
      span.setAttributes({ 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': name.slice(0, 64) });
      try {
        const observation = await ask(agent, { tool, argsJson, allowPrivate: options.allowPrivate }, ctx);
        endSpan(span);
        return observation;
      } catch (error) {
        endSpan(span, error);
        return JSON.stringify(`Execution error in ${name.slice(0, 64)}: ${wordsOf(error)}`);
      }
    },
    close: () => agent.destroy(),
  };
}

/** What went wrong with a tool, in words that a model may read. */
class ToolFailure extends Error {}

type Asked = { readonly tool: Tool | undefined; readonly argsJson: string; readonly allowPrivate: boolean };

async function ask(agent: Dispatcher, { tool, argsJson, allowPrivate }: Asked, ctx: ToolCallContext): Promise<string> {
  if (tool === undefined) throw new ToolFailure('there is no such tool');
  const args = readArgs(argsJson);
  const fault = argsFault(tool, args) ?? urlFault(tool.url, { allowPrivate })?.description;
  if (fault !== undefined) throw new ToolFailure(fault);
  const leftMs = Math.max(1, Math.min(tool.timeoutMs, ctx.deadlineMs - Date.now()));
  const signal = AbortSignal.any([ctx.signal, AbortSignal.timeout(leftMs)]);
  const inQuery = tool.method === 'GET' || tool.method === 'DELETE';
  const url = new URL(tool.url);
  if (inQuery)
    for (const [key, value] of args) url.searchParams.set(key, typeof value === 'string' ? value : writeJson(value));
  const reply = await request(url, {
    dispatcher: agent,
    method: tool.method,
    signal,
    headersTimeout: leftMs,
    bodyTimeout: leftMs,
    headers: {
      accept: 'application/json, text/*;q=0.9',
      traceparent: traceparentOf(ctx.trace),
      ...(inQuery ? {} : { 'content-type': 'application/json' }),
    },
    ...(inQuery ? {} : { body: writeJson(args) }),
  });
  const text = await readText(reply.body);
  if (reply.statusCode >= 300) throw new ToolFailure(`HTTP ${reply.statusCode}: ${text.slice(0, quotedMax)}`);
  const isJson = /^application\/(?:[\w.+-]+\+)?json\b/i.test(String(reply.headers['content-type'] ?? ''));
  return isJson ? jsonText(text) : JSON.stringify(text.toWellFormed());
}

function readArgs(argsJson: string): JsonObject {
  try {
    const args = parseJson(argsJson);
    if (isObject(args)) return args;
  } catch {
    // Said below.
  }
  throw new ToolFailure('the arguments are not a JSON object');
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > replyBytesMax) throw new ToolFailure(`the reply is longer than ${replyBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function jsonText(text: string): string {
  try {
    return writeJson(parseJson(text));
  } catch {
    return JSON.stringify(text.toWellFormed());
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof ToolFailure) return error.message;
  const { name, code, cause } = error as { name?: string; code?: string; cause?: { code?: string } };
  if (name === 'TimeoutError' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT')
    return 'it took too long';
  if (code === 'PRIVATE_ADDRESS' || cause?.code === 'PRIVATE_ADDRESS') return 'its address is not a public one';
  return 'it could not be reached';
}
