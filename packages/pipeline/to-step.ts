import type { Draft } from './draft.ts';
import type { Step } from './pipeline.ts';

/** Makes a step out of a draft in which nothing is missing. */
export function toStep(draft: Draft): Step {
  const { id, needs, when, timeoutMs, retries, compensate, undo, body } = draft;
  const base = {
    id,
    needs,
    retries,
    onError: draft.onError,
    ...(when !== undefined && { when }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(compensate !== undefined && { compensate: toStep(compensate) }),
    ...(undo !== undefined && { undo: toStep(undo) }),
  };
  if (body.kind === 'group') {
    const { kind, steps, maxConcurrency, minSuccess } = body;
    return { ...base, kind, steps: steps.map(toStep), maxConcurrency, ...(minSuccess !== undefined && { minSuccess }) };
  }
  return { ...base, ...body, input: draft.input ?? { kind: 'literal', value: new Map() } };
}
