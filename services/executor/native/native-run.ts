import type { Context } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { endSpan, startSpan } from '@signet/kit/telemetry/span.ts';
import { traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import { createRun } from '@signet/predict/modules/run.ts';
import type { Failed, LmAsk, ModuleRun, ParseAsk, Step, ToolAsk } from '@signet/predict/modules/step.ts';
import type { PromptPlan } from '@signet/predict/plan/plan.ts';
import type { PythonObject } from '@signet/predict/python/value.ts';
import { UnwritableError, writeOutputs } from '@signet/predict/python/write-outputs.ts';
import { type JsonObject, plainFromJson } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import {
  EngineDeclined,
  type EngineProgram,
  type EngineRun,
  type LmEndpoint,
  type RunContext,
} from '../engine/engine.ts';
import { isContextExceeded } from '../lm/failure.ts';
import type { LmCompletion } from '../lm/language-model.ts';
import { toolsOf } from '../tool/tool.ts';
import { ModuleSpans } from './module-spans.ts';
import type { NativeEngineDeps } from './native-engine.ts';
import { outputFieldsOf } from './output-fields-wire.ts';

const messageMax = 2_000;
// From here on each pass over a reply takes long enough to let others run before the next.
const longChars = 131_072;

/** One run of a plan: asks the model, the tools and, in doubt, DSPy, until the module has its outputs. */
export class NativeRun {
  readonly #deps: NativeEngineDeps;
  readonly #program: EngineProgram;
  readonly #plan: PromptPlan;
  readonly #ctx: RunContext;
  /** Why the model took no prompt of this length, while that is its last word. */
  #tooLong: AppError | undefined;
  #lmCalls = 0;
  #tokensIn = 0;
  #tokensOut = 0;
  #handedOver = 0;
  #isLong = false;

  constructor(deps: NativeEngineDeps, program: EngineProgram, plan: PromptPlan, ctx: RunContext) {
    this.#deps = deps;
    this.#program = program;
    this.#plan = plan;
    this.#ctx = ctx;
  }

  /** Runs it to its end. Throws EngineDeclined where only Python can do it, before any model was asked. */
  async run(inputs: JsonObject): Promise<EngineRun> {
    const { lm, signal, trace } = this.#ctx;
    if (lm === undefined) throw new AppError('LM_NOT_CONFIGURED', 'The program has no language model');
    if (signal.aborted) throw signal.reason;
    const spans = new ModuleSpans(this.#deps.tracer, this.#plan.module, trace);
    this.#tell('started');
    try {
      const outputs = await this.#follow(this.#begin(lm), inputs, lm, spans);
      this.#tell('completed');
      spans.end();
      if (this.#isLong) await aTurn();
      const ended = this.#ended(writeReply(outputs));
      if (this.#isLong) await aTurn();
      return ended;
    } catch (error) {
      this.#tell('failed');
      spans.end(error);
      throw signal.aborted && signal.reason instanceof AppError ? signal.reason : error;
    }
  }

  #begin({ capabilities }: LmEndpoint): ModuleRun {
    const { promptAdapter: adapter, lmOptions: options } = this.#program;
    const { jsonSchema, jsonObject } = capabilities;
    return createRun(this.#plan, { adapter, lm: { jsonSchema, jsonObject }, options });
  }

  async #follow(run: ModuleRun, inputs: JsonObject, lm: LmEndpoint, spans: ModuleSpans): Promise<PythonObject> {
    for (let step = run.start(inputs); ; ) {
      switch (step.kind) {
        case 'lm':
          spans.ask(step);
          step = await this.#ask(run, step, lm, spans.context);
          break;
        case 'parse':
          step = run.parsed(await this.#readByPython(step, spans.context));
          break;
        case 'tool':
          spans.leavePredictor();
          step = run.observed(await this.#callTool(step, spans.context));
          break;
        case 'done':
          return step.outputs;
        case 'failed':
          throw this.#tooLong ?? failureOf(step);
        case 'doubtful':
          if (this.#lmCalls === 0) throw new EngineDeclined('native', step.why);
          throw new AppError('MODULE_FAILED', `Only Python can go on: ${step.why}`, { category: 'module' });
      }
    }
  }

  async #ask(run: ModuleRun, ask: LmAsk, lm: LmEndpoint, context: Context): Promise<Step> {
    this.#tooLong = undefined;
    const completion = await this.#complete(ask, lm, context).catch((error: unknown) => {
      if (!isContextExceeded(error)) throw error;
      this.#tooLong = error;
    });
    if (completion === undefined) return run.contextExceeded();
    const { text, streamed } = completion;
    if (text.length > longChars) this.#isLong = true;
    if (this.#isLong) await aTurn();
    return run.reply(text, { streamed });
  }

  async #complete(ask: LmAsk, endpoint: LmEndpoint, context: Context): Promise<LmCompletion> {
    const { signal, deadlineMs, lmCalls, maxRetries, wantsText, onEvent } = this.#ctx;
    const { predictor, messages, adapter } = ask;
    this.#lmCalls += 1;
    const completion = await this.#deps.lm.complete(
      {
        endpoint,
        messages,
        options: plainFromJson(ask.options) as Record<string, unknown>,
        outputFields: outputFieldsOf(ask.outputs),
        promptAdapter: adapter,
        maxRetries,
      },
      {
        signal,
        deadlineMs,
        traceparent: traceparentOf(context),
        onText: wantsText && onEvent ? (text) => onEvent({ kind: 'token', predictor, ...text }) : undefined,
        onCall: lmCalls?.onCall,
        recall: lmCalls?.recall,
      },
    );
    this.#tokensIn += completion.promptTokens;
    this.#tokensOut += completion.completionTokens;
    return completion;
  }

  async #readByPython(ask: ParseAsk, parent: Context) {
    this.#handedOver += 1;
    const { predictor, adapter, completion, why } = ask;
    const { span } = startSpan(this.#deps.tracer, 'parse_completion', parent, undefined, { 'signet.parse.why': why });
    try {
      const outcome = await this.#deps.reader.read(this.#program, { predictor, adapter, completion }, this.#ctx);
      endSpan(span);
      return outcome;
    } catch (error) {
      endSpan(span, error);
      if (normalizeError(error).reason !== 'ENGINE_UNAVAILABLE') throw error;
      // The model was asked and has answered: another engine would ask, and pay, again.
      const message = `The reply needs Python to be read (${why}), and no Python of the same dialect is there`;
      throw new AppError('LM_REPLY_UNREADABLE', message, { category: 'parse', retryable: true, cause: error });
    }
  }

  async #callTool({ name, args }: ToolAsk, trace: Context) {
    const { signal, deadlineMs } = this.#ctx;
    const tool = toolsOf(this.#program.moduleConfig).get(name);
    const observation = await this.#deps.tools.call(tool, name, argsText(args), { signal, deadlineMs, trace });
    if (signal.aborted) throw signal.reason;
    return parseJson(observation);
  }

  #tell(status: 'started' | 'completed' | 'failed'): void {
    this.#ctx.onEvent?.({ kind: 'step', step: 'predict', status });
  }

  #ended(outputsJson: string): EngineRun {
    return {
      outputsJson,
      lmCalls: this.#lmCalls,
      tokensIn: this.#tokensIn,
      tokensOut: this.#tokensOut,
      queueMs: 0,
      worker: '',
      handedOver: this.#handedOver,
    };
  }
}

/** The error that DSPy raises in place of going on. */
export function failureOf({ pythonType, message, reason }: Failed): AppError {
  const said = message.toWellFormed().trim();
  const text = said.length > messageMax ? `${said.slice(0, messageMax - 1).toWellFormed()}…` : said;
  if (pythonType === 'AdapterParseError')
    return new AppError('LM_REPLY_UNREADABLE', text, { category: 'parse', pythonType });
  // Some errors of a hostile reply pass DSPy's adapters by, such as nesting beyond all bounds.
  if (reason?.kind === 'exception') {
    const words = `the reply cannot be read: ${text}`;
    return new AppError('LM_REPLY_UNREADABLE', words, { category: 'parse', pythonType });
  }
  return new AppError('MODULE_FAILED', `${pythonType}: ${text}`, { category: 'module', pythonType });
}

function aTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function writeReply(outputs: PythonObject): string {
  try {
    return writeOutputs(outputs);
  } catch (error) {
    if (!(error instanceof UnwritableError)) throw error;
    throw new AppError('LM_REPLY_UNREADABLE', `The reply holds what JSON cannot carry: ${error.message}`, {
      category: 'parse',
    });
  }
}

function argsText(args: PythonObject): string {
  try {
    return writeOutputs(args);
  } catch (error) {
    // Said to the model by whoever calls the tool.
    if (error instanceof UnwritableError) return '';
    throw error;
  }
}
