import { readJson } from '../python/read-json.ts';
import type { PythonValue } from '../python/value.ts';
import {
  type AdapterPlan,
  type Message,
  type PlanField,
  type PlanModule,
  type PlanType,
  type PlanTypeKind,
  type PredictorPlan,
  type PromptPlan,
  planTypeKinds,
} from './plan.ts';

/** Says why a text is no plan that this package takes. */
export class PlanError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PlanError';
  }
}

const MODULES: readonly PlanModule[] = ['predict', 'chain_of_thought', 'react', 'multi_chain_comparison'];
const KINDS: ReadonlySet<string> = new Set(planTypeKinds);
const TYPE_DEPTH_MAX = 64;

/** Opens `plan_json` as CompileProgram made it. Throws PlanError for another format and for damage. */
export function openPlan(planJson: string): PromptPlan {
  let raw: unknown;
  try {
    raw = JSON.parse(planJson);
  } catch {
    throw new PlanError('the plan is not JSON');
  }
  const plan = record(raw, 'the plan');
  if (plan.format !== 1) throw new PlanError(`the plan has format ${String(plan.format).slice(0, 40)}, not 1`);
  const module = MODULES.find((known) => known === plan.module);
  if (module === undefined) throw new PlanError('the plan names no known module');
  const predictors = list(plan.predictors, 'predictors').map(predictor);
  if (predictors.length === 0) throw new PlanError('the plan has no predictor');
  return {
    module,
    settings: new Map(Object.entries(record(plan.settings, 'settings')).map(([name, value]) => [name, Number(value)])),
    outputs: list(plan.outputs, 'outputs').map((name) => text(name, 'outputs')),
    dialect: Object.fromEntries(
      Object.entries(record(plan.dialect, 'dialect')).map(([name, value]) => [name, text(value, name)]),
    ),
    predictors,
  };
}

function predictor(raw: unknown): PredictorPlan {
  const made = record(raw, 'a predictor');
  const json = record(made.json, 'json');
  return {
    name: text(made.name, 'name'),
    optionsJson: text(made.options_json, 'options_json'),
    inputs: list(made.inputs, 'inputs').map(field),
    outputs: list(made.outputs, 'outputs').map(field),
    chat: adapter(record(made.chat, 'chat')),
    json: { ...adapter(json), responseFormatJson: text(json.response_format_json, 'response_format_json') },
  };
}

function field(raw: unknown): PlanField {
  const made = record(raw, 'a field');
  const bare = { name: text(made.name, 'name'), type: type(made.type, 0), nullable: made.nullable === true };
  return made.default_json === undefined ? bare : { ...bare, default: value(made.default_json, 'default_json') };
}

function type(raw: unknown, depth: number): PlanType {
  if (depth > TYPE_DEPTH_MAX) throw new PlanError('a type nests too deeply');
  const made = record(raw, 'a type');
  const kind = text(made.kind, 'kind');
  if (!KINDS.has(kind)) throw new PlanError(`\`${kind.slice(0, 40)}\` is not a kind of type`);
  return {
    kind: kind as PlanTypeKind,
    args: list(made.args ?? [], 'args').map((arg) => type(arg, depth + 1)),
    values: list(made.values_json ?? [], 'values_json').map((member) => value(member, 'values_json')),
  };
}

function adapter(made: Record<string, unknown>): AdapterPlan {
  if (made.fault !== undefined) {
    const fault = record(made.fault, 'fault');
    return { fault: { pythonType: text(fault.type, 'type'), message: text(fault.message, 'message') } };
  }
  return {
    system: text(made.system, 'system'),
    demos: list(made.demos, 'demos').map(message),
    slots: list(made.slots, 'slots').map((raw) => {
      const slot = record(raw, 'a slot');
      return { field: text(slot.field, 'field'), before: text(slot.before, 'before') };
    }),
    ending: text(made.ending, 'ending'),
  };
}

function message(raw: unknown): Message {
  const { role, content } = record(raw, 'a message');
  if (role !== 'user' && role !== 'assistant') throw new PlanError('a demo has an unknown role');
  return { role, content: text(content, 'content') };
}

function value(raw: unknown, what: string): PythonValue {
  const read = readJson(text(raw, what));
  if (typeof read === 'string') throw new PlanError(`${what} of the plan is no JSON`);
  return read.value;
}

function record(raw: unknown, what: string): Record<string, unknown> {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw new PlanError(`${what} is no object`);
  return raw as Record<string, unknown>;
}

function list(raw: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(raw)) throw new PlanError(`${what} of the plan is no list`);
  return raw;
}

function text(raw: unknown, what: string): string {
  if (typeof raw !== 'string') throw new PlanError(`${what} of the plan is no text`);
  return raw;
}
