import type { PlanField, PredictorPlan, PromptAdapter } from '../plan/plan.ts';
import { readJson } from '../python/read-json.ts';
import { isDict, type PythonObject, type PythonValue } from '../python/value.ts';
import { chatSections } from './chat-sections.ts';
import { type Coerced, DOUBT, UNFIT } from './coerced.ts';
import { findBraces } from './find-braces.ts';
import { type ParseOutcome, refusal } from './outcome.ts';
import { parseValue } from './parse-value.ts';
import { repairJson } from './repair.ts';

/**
 * Reads one reply as DSPy's adapter does: typed values in signature order, or its error, or `doubtful` where only Python knows.
 * Linear in the reply.
 */
export function parseReply(predictor: PredictorPlan, adapter: PromptAdapter, reply: string): ParseOutcome {
  return adapter === 'chat' ? parseChat(predictor, reply) : parseObject(predictor, reply);
}

function parseChat(predictor: PredictorPlan, reply: string): ParseOutcome {
  return readFields(predictor, 'chat', reply, chatSections(reply, new Set(predictor.outputs.map(({ name }) => name))));
}

function parseObject(predictor: PredictorPlan, reply: string): ParseOutcome {
  let text = reply;
  let loaded = load(text);
  if (loaded === DOUBT) return { kind: 'doubtful', why: 'the reply needs JSON repair' };
  if (!isDict(loaded)) {
    const found = findBraces(reply);
    if (found === undefined) return refusal(predictor, 'json', reply, { kind: 'no_object' });
    text = found;
    loaded = load(text);
    if (loaded === DOUBT) return { kind: 'doubtful', why: 'the object in the reply needs JSON repair' };
    if (!isDict(loaded)) return refusal(predictor, 'json', text, { kind: 'no_object' });
  }
  return readFields(predictor, 'json', text, loaded);
}

function load(text: string): PythonValue | typeof DOUBT {
  const read = readJson(text);
  if (read === 'doubtful') return DOUBT;
  const loaded = read === 'invalid' ? repairJson(text) : read;
  if (loaded === 'nothing') return '';
  return loaded === 'doubtful' ? DOUBT : loaded.value;
}

function readFields(
  predictor: PredictorPlan,
  adapter: PromptAdapter,
  reply: string,
  given: PythonObject | ReadonlyMap<string, string>,
): ParseOutcome {
  const wanted = new Map(predictor.outputs.map((field) => [field.name, field]));
  const read = new Map<string, PythonValue>();
  let doubtful: string | undefined;
  // In the reply's order: the first field that does not fit is the one that DSPy names.
  for (const [name, value] of given) {
    const field = wanted.get(name);
    if (field === undefined) continue;
    const coerced: Coerced = parseValue(value, field.type);
    if (coerced === DOUBT) doubtful ??= name;
    else if (coerced !== UNFIT) read.set(name, coerced);
    else if (doubtful === undefined) return refusal(predictor, adapter, reply, { kind: 'value', field: name });
  }
  if (doubtful !== undefined) return { kind: 'doubtful', why: `the text of \`${doubtful}\` needs JSON repair` };
  return complete(predictor, adapter, reply, read);
}

function complete(
  predictor: PredictorPlan,
  adapter: PromptAdapter,
  reply: string,
  read: ReadonlyMap<string, PythonValue>,
): ParseOutcome {
  const outputs = new Map<string, PythonValue>();
  const missing: string[] = [];
  for (const field of predictor.outputs) {
    const value = read.has(field.name) ? read.get(field.name) : fallback(field);
    if (value === undefined) missing.push(field.name);
    else outputs.set(field.name, value);
  }
  if (missing.length === 0) return { kind: 'value', outputs };
  return refusal(predictor, adapter, reply, { kind: 'missing', fields: missing }, [...outputs.keys()]);
}

function fallback({ default: given, nullable }: PlanField): PythonValue | undefined {
  if (given !== undefined) return given;
  return nullable ? null : undefined;
}
