import type { Context, Span, Tracer } from '@opentelemetry/api';
import { endSpan, startSpan } from '@signet/kit/telemetry/span.ts';
import type { LmAsk } from '@signet/predict/modules/step.ts';
import type { PromptPlan } from '@signet/predict/plan/plan.ts';

const moduleNames = {
  predict: 'Predict',
  chain_of_thought: 'ChainOfThought',
  react: 'ReAct',
  multi_chain_comparison: 'MultiChainComparison',
} as const;

/** Predictors that are chains of thought inside another module. */
const chains: ReadonlySet<string> = new Set(['chain.predict', 'extract.predict']);

/** The spans of one run: its module and, below that, the modules that DSPy would call, so that both engines show the same tree. */
export class ModuleSpans {
  readonly #tracer: Tracer;
  readonly #module: PromptPlan['module'];
  readonly #outer: { readonly span: Span; readonly context: Context };
  #inner: readonly Span[] = [];
  #context: Context;
  #last: Pick<LmAsk, 'predictor' | 'adapter'> | undefined;

  constructor(tracer: Tracer, module: PromptPlan['module'], parent: Context) {
    this.#tracer = tracer;
    this.#module = module;
    this.#outer = startSpan(tracer, moduleNames[module], parent);
    this.#context = this.#outer.context;
  }

  /** Below what the run is doing now. */
  get context(): Context {
    return this.#context;
  }

  /** The run asks the model: by a new call of a predictor, unless it only asks once more for what could not be read. */
  ask({ predictor, adapter }: LmAsk): void {
    if (this.#module === 'predict') return;
    const isAgain = this.#last?.predictor === predictor && this.#last.adapter === 'chat' && adapter === 'json';
    this.#last = { predictor, adapter };
    if (isAgain) return;
    this.#leave();
    const names = chains.has(predictor) ? ['ChainOfThought', 'Predict'] : ['Predict'];
    const spans: Span[] = [];
    for (const name of names) {
      const { span, context } = startSpan(this.#tracer, name, this.#context);
      spans.unshift(span);
      this.#context = context;
    }
    this.#inner = spans;
  }

  /** The run does something that is no part of a predictor. */
  leavePredictor(): void {
    this.#leave();
    this.#last = undefined;
  }

  /** Ends all that is open. */
  end(error?: unknown): void {
    this.#leave(error);
    endSpan(this.#outer.span, error);
  }

  #leave(error?: unknown): void {
    for (const span of this.#inner) endSpan(span, error);
    this.#inner = [];
    this.#context = this.#outer.context;
  }
}
