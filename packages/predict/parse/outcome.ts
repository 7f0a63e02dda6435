import type { PredictorPlan, PromptAdapter } from '../plan/plan.ts';
import type { PythonObject } from '../python/value.ts';

/** Why DSPy's adapters refuse a reply. */
export type ParseReason =
  | { readonly kind: 'value'; readonly field: string }
  | { readonly kind: 'missing'; readonly fields: readonly string[] }
  | { readonly kind: 'no_object' }
  | { readonly kind: 'exception' };

/** What became of a reply, for certain. `exception` is what DSPy raises past its adapters, after which it does not ask again. */
export type SettledOutcome =
  | { readonly kind: 'value'; readonly outputs: PythonObject }
  | { readonly kind: 'error'; readonly pythonType: string; readonly reason: ParseReason; readonly message: string };

/** What became of a reply here; a doubtful one is read by the sidecar's ParseCompletion. */
export type ParseOutcome = SettledOutcome | { readonly kind: 'doubtful'; readonly why: string };

const ADAPTER_NAMES: Readonly<Record<PromptAdapter, string>> = { chat: 'ChatAdapter', json: 'JSONAdapter' };

/** The error of a reply that an adapter refuses. The words are DSPy's where they do not quote pydantic. */
export function refusal(
  predictor: PredictorPlan,
  adapter: PromptAdapter,
  reply: string,
  reason: ParseReason,
  parsed?: readonly string[],
): SettledOutcome {
  const names = predictor.outputs.map(({ name }) => name).join(', ');
  let message = '';
  if (reason.kind === 'value')
    message = `Failed to parse field ${reason.field}: the text does not fit the field's type\n\n`;
  if (reason.kind === 'no_object') message = 'LM response cannot be serialized to a JSON object.\n\n';
  message += `Adapter ${ADAPTER_NAMES[adapter]} failed to parse the LM response. \n\nLM Response: ${reply} \n\n`;
  message += `Expected to find output fields in the LM response: [${names}] \n\n`;
  if (parsed !== undefined) message += `Actual output fields parsed from the LM response: [${parsed.join(', ')}] \n\n`;
  return { kind: 'error', pythonType: 'AdapterParseError', reason, message };
}
