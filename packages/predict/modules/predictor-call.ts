import { JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { isCostly } from '../parse/is-costly.ts';
import { type ParseOutcome, refusal, type SettledOutcome } from '../parse/outcome.ts';
import { parseReply } from '../parse/parse-reply.ts';
import type { PredictorPlan, PromptAdapter } from '../plan/plan.ts';
import { readJson } from '../python/read-json.ts';
import type { PythonObject } from '../python/value.ts';
import { renderMessages } from '../render/render-messages.ts';
import type { Doubtful, Failed, LmAsk, ParseAsk, RunSettings } from './step.ts';

/** A predictor's outputs. */
export interface Read {
  readonly kind: 'read';
  readonly outputs: PythonObject;
}

/** What one predictor's call wants next. */
export type CallStep = LmAsk | ParseAsk | Read | Failed | Doubtful;

/**
 * One call of a predictor: asks, reads, and after an AdapterParseError of the Chat adapter asks once more by the JSON adapter,
 * unless text of the first completion was shown.
 */
export class PredictorCall {
  readonly #plan: PredictorPlan;
  readonly #settings: RunSettings;
  #inputs: JsonObject = new Map();
  #adapter: PromptAdapter;
  #completion = '';
  #streamed = false;

  constructor(plan: PredictorPlan, settings: RunSettings) {
    this.#plan = plan;
    this.#settings = settings;
    this.#adapter = settings.adapter;
  }

  start(inputs: JsonObject): CallStep {
    this.#inputs = withDefaults(this.#plan, inputs);
    this.#adapter = this.#settings.adapter;
    return this.#ask();
  }

  reply(text: string, streamed: boolean): CallStep {
    this.#completion = text;
    this.#streamed = streamed;
    if (text === '') return this.#settle(this.#empty());
    // Python reads it on a thread of its own; here it would hold up every other run.
    const outcome: ParseOutcome = isCostly(text) ? TOO_COSTLY : parseReply(this.#plan, this.#adapter, text);
    if (outcome.kind !== 'doubtful') return this.#settle(outcome);
    return { kind: 'parse', predictor: this.#plan.name, adapter: this.#adapter, completion: text, why: outcome.why };
  }

  parsed(outcome: SettledOutcome): CallStep {
    return this.#settle(outcome);
  }

  #settle(outcome: SettledOutcome): CallStep {
    if (outcome.kind === 'value') return { kind: 'read', outputs: outcome.outputs };
    const { pythonType, message, reason } = outcome;
    if (pythonType === 'AdapterParseError' && this.#mayAskAgain()) {
      this.#adapter = 'json';
      return this.#ask();
    }
    return { kind: 'failed', pythonType, message, reason };
  }

  #mayAskAgain(): boolean {
    return this.#adapter === 'chat' && !this.#streamed && this.#settings.fallback !== false;
  }

  #ask(): CallStep {
    const shown = renderMessages(this.#plan, this.#adapter, this.#inputs);
    if (shown.kind !== 'messages') return shown;
    return {
      kind: 'lm',
      predictor: this.#plan.name,
      adapter: this.#adapter,
      messages: shown.messages,
      options: this.#options(),
      outputs: this.#plan.outputs,
    };
  }

  #options(): JsonObject {
    const options = new Map<string, JsonValue>();
    for (const given of [this.#settings.options, ownOptions(this.#plan)]) {
      for (const [name, value] of given) {
        if (value !== null && !CLIENT_OPTIONS.has(name)) options.set(name, value);
      }
    }
    const format = this.#adapter === 'json' ? responseFormat(this.#plan, this.#settings) : undefined;
    if (format !== undefined) options.set('response_format', format);
    return options;
  }

  #empty(): SettledOutcome {
    const missing = this.#plan.outputs.map(({ name }) => name);
    const outcome = refusal(this.#plan, this.#adapter, this.#completion, { kind: 'missing', fields: missing });
    if (outcome.kind !== 'error') return outcome;
    return { ...outcome, message: `The LM returned an empty or null response.\n\n${outcome.message}` };
  }
}

const TOO_COSTLY: ParseOutcome = { kind: 'doubtful', why: 'the reply has more structure than is read at once' };

// Settings of DSPy's own client, which does not stand between us and the model.
const CLIENT_OPTIONS: ReadonlySet<string> = new Set([
  'n',
  'num_generations',
  'cache',
  'rollout_id',
  'num_retries',
  'callbacks',
  'prompt_cache',
  'model',
  'messages',
]);

function withDefaults(plan: PredictorPlan, inputs: JsonObject): JsonObject {
  const absent = plan.inputs.filter((field) => field.default !== undefined && !inputs.has(field.name));
  if (absent.length === 0) return inputs;
  return new Map([...inputs, ...absent.map((field) => [field.name, (field.default ?? null) as JsonValue] as const)]);
}

const parsedOptions = new Map<string, JsonObject>([['{}', new Map()]]);
const KEPT_MAX = 256;

function ownOptions(plan: PredictorPlan): JsonObject {
  return kept(plan.optionsJson);
}

function kept(text: string): JsonObject {
  let options = parsedOptions.get(text);
  if (options === undefined) {
    const read = readJson(text);
    options = typeof read === 'object' && read.value instanceof Map ? (read.value as JsonObject) : new Map();
    if (parsedOptions.size >= KEPT_MAX) parsedOptions.clear();
    parsedOptions.set(text, options);
  }
  return options;
}

const JSON_OBJECT: JsonObject = new Map([['type', 'json_object']]);

function responseFormat(plan: PredictorPlan, { lm }: RunSettings): JsonObject | undefined {
  if (!lm.jsonSchema) return lm.jsonObject ? JSON_OBJECT : undefined;
  const strictest = kept(plan.json.responseFormatJson);
  if (strictest.get('type') !== 'json_object') return strictest;
  return lm.jsonObject ? JSON_OBJECT : undefined;
}

/** True if options ask for several completions, which only Python gives. */
export function wantsMany(options: JsonObject): boolean {
  return ['n', 'num_generations'].some((name) => {
    const count = options.get(name) ?? null;
    return count !== null && !(count instanceof JsonNumber && count.text === '1');
  });
}
